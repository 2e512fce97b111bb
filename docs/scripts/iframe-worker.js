// The search runs in a worker. Browsers allow none on pages that are opened as files, so there a hidden frame runs it.
if (location.protocol === 'file:') {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent('message', {data}));
      const script = frame.contentDocument.createElement('script');
      this.loaded = new Promise((resolve) => script.addEventListener('load', resolve));
      script.src = url;
      frame.contentDocument.body.append(script);
    }

    async postMessage(message) {
      const data = structuredClone(message);
      await this.loaded;
      this.inside.dispatchEvent(new MessageEvent('message', {data}));
    }
  };
}
