"""What references to application packages mean, where a package lies, and how a pod tells what it was made with."""

import pytest
from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.node_config import PackageConfig
from batchpools.core.packages.marks import Mark, marks, marks_of
from batchpools.core.packages.places import package_variables
from batchpools.core.packages.resolution import Packages, fingerprint, pools_with, resolve
from batchpools.core.views import ApplicationPackageReference, ApplicationPackageView, PackageVersion
from batchpools.testing import builders

ZIP = PackageVersion(version="4.2", url="https://files.example/4.2.zip", sha256="AB" * 32)
TAR = PackageVersion(version="4.3-rc.1", config_map_name="blender", format="TarGz")
BLENDER = builders.package("blender", default_version="4.2", versions=(ZIP, TAR))
TOOL = builders.package("my-tool", default_version="", versions=(PackageVersion(version="1", url="http://a/b"),))
HELD = {"blender": BLENDER, "my-tool": TOOL}


def resolved(*references: tuple[str, str], held: dict[str, ApplicationPackageView] = HELD) -> Packages:
    asked = [ApplicationPackageReference(name=name, version=version) for name, version in references]
    return resolve(asked, held.get)


def test_a_reference_means_its_version_or_the_default_one_each_once() -> None:
    found = resolved(("blender", ""), ("blender", "4.3-rc.1"), ("blender", "4.2"), ("my-tool", "1"))
    assert found.missing == ""
    assert found.found == (
        PackageConfig("blender", "4.2", fingerprint(ZIP), url=ZIP.url, sha256="ab" * 32, is_default=True),
        PackageConfig("blender", "4.3-rc.1", fingerprint(TAR), format="TarGz", config_map="blender"),
        PackageConfig("my-tool", "1", fingerprint(TOOL.spec.versions[0]), url="http://a/b"),
    )
    assert resolved() == Packages()


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        (("none", ""), "Application package none does not exist."),
        (("blender", "5"), "Application package blender has no version 5."),
        (("my-tool", ""), "Application package my-tool has no default version: the reference must name one."),
    ],
)
def test_what_is_missing_is_a_sentence(reference: tuple[str, str], sentence: str) -> None:
    assert resolved(reference, ("blender", ""), reference).missing == sentence


def test_all_that_is_missing_is_said() -> None:
    assert resolved(("a", ""), ("b", "")).missing == (
        "Application package a does not exist. Application package b does not exist."
    )


def test_a_fingerprint_changes_with_all_that_decides_what_is_in_the_folder() -> None:
    others = [
        replace(ZIP, url="https://files.example/other.zip"),
        replace(ZIP, sha256="cd" * 32),
        replace(ZIP, format="TarGz"),
        replace(ZIP, url="", config_map_name="x"),
    ]
    assert len({fingerprint(one) for one in (ZIP, *others)}) == 5
    assert fingerprint(ZIP) == fingerprint(replace(ZIP, sha256=ZIP.sha256.lower(), version="another"))


def test_variables_are_azures_on_linux() -> None:
    found = resolved(("blender", ""), ("blender", "4.3-rc.1"), ("my-tool", "1")).found
    assert package_variables(found) == {
        "AZ_BATCH_APP_PACKAGE_blender_4_2": "/mnt/batch/applications/blender/4.2",
        "AZ_BATCH_APP_PACKAGE_blender": "/mnt/batch/applications/blender/4.2",
        "AZ_BATCH_APP_PACKAGE_blender_4_3_rc_1": "/mnt/batch/applications/blender/4.3-rc.1",
        "AZ_BATCH_APP_PACKAGE_my_tool_1": "/mnt/batch/applications/my-tool/1",
    }


def test_a_pods_marks_say_what_it_was_made_with() -> None:
    found = resolved(("blender", ""), ("my-tool", "1")).found
    told = {names.ANNOTATION_PACKAGES: marks(found) + " what is this"}
    assert marks_of(told) == [
        Mark("blender", "4.2", True, fingerprint(ZIP)),
        Mark("my-tool", "1", False, fingerprint(TOOL.spec.versions[0])),
    ]
    assert package_variables(marks_of(told)) == package_variables(found)
    assert marks_of({}) == []


def test_the_pools_of_a_package_are_those_of_its_namespace_that_name_it() -> None:
    reference = (ApplicationPackageReference(name="blender"),)
    ours = builders.pool("a", application_package_references=reference)
    away = replace(ours, metadata=replace(ours.metadata, namespace="elsewhere"))
    assert pools_with(BLENDER, [ours, away, builders.pool("b")]) == [ours]
