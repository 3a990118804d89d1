"""How findings add up."""

from icshare.model.status import Check, Grade, Health

OK, WARNING, FAILED = (Check(name=grade.value, grade=grade, text="") for grade in Grade)


def test_a_warning_does_not_make_a_sharing_ill_and_a_failure_does() -> None:
    assert Health().ok
    assert Health(checks=(OK, WARNING)).ok
    assert not Health(checks=(OK, WARNING, FAILED)).ok


def test_findings_are_told_by_weight() -> None:
    health = Health(checks=(FAILED, OK, WARNING, FAILED))
    assert health.failures == (FAILED, FAILED)
    assert health.warnings == (WARNING,)
