"""A message about an unknown name ends with the name that was probably meant."""

from mmrsir.utils.suggestions import did_you_mean

KNOWN = ('nano', 'small', 'tiny')


def test_a_near_name_is_suggested():
    assert did_you_mean('tinny', KNOWN) == "; did you mean 'tiny'?"
    assert did_you_mean('tinny', KNOWN, shown='weights://{}'.format) == (
        '; did you mean weights://tiny?'
    )


def test_what_is_not_near_is_not_suggested_unless_asked_for():
    assert did_you_mean('xyz', KNOWN) == did_you_mean(None, KNOWN) == did_you_mean('x', []) == ''
    assert did_you_mean('an', KNOWN, cutoff=0) == "; did you mean 'nano'?"
