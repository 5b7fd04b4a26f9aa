import pyarrow as pa
import pytest

from stages.withdraw.matching import named, named_by_url

PLANNED = pa.Table.from_pylist(
    [
        {"sample_id": f"cc3m_0_{n}", "normalised_url": f"http://{host}/{n}", "host": host}
        for n, host in enumerate(("a.org", "img.a.org", "ba.org", "c.org", "c.org"))
    ]
)
LOCATED = pa.Table.from_pylist(
    [{"sample_id": f"cc3m_0_{n}", "image_id": f"i{n}", "body_sha256": f"{n}" * 64} for n in range(4)]
    + [{"sample_id": "ben_7", "image_id": "ben_7", "body_sha256": "7" * 64}]
)
IMAGE = pa.table(
    {
        "image_id": ["i0", "i1", "i2", "i3", "ben_7"],
        "pixel_sha256": ["a" * 64, "b" * 64, "a" * 64, "c" * 64, "d" * 64],
        "published_sha256": ["e" * 64] * 2 + ["f" * 64] * 3,
        "phash": pa.array([1, 2, 2**64 - 1, 3, 255], pa.uint64()),
    }
)


def withdrawal(*entries: tuple[str, str]) -> pa.Table:
    return pa.table(
        {
            "entry_kind": pa.array([k for k, _ in entries], pa.string()),
            "entry": pa.array([e for _, e in entries], pa.string()),
        }
    )


@pytest.mark.parametrize(
    ("entry", "numbers"),
    [
        (("host", "a.org"), ["cc3m_0_0", "cc3m_0_1"]),  # with its subdomains, but not ba.org
        (("url", "http://c.org/3"), ["cc3m_0_3"]),
        (("sample_id", "ben_7"), ["ben_7"]),
        (("sha256", "a" * 64), ["cc3m_0_0", "cc3m_0_2"]),
        (("sha256", "3" * 64), ["cc3m_0_3"]),
        (("sha256", "e" * 64), ["cc3m_0_0", "cc3m_0_1"]),
        (("phash", "f" * 16), ["cc3m_0_2"]),
        (("phash", f"{255:016x}"), ["ben_7"]),
        (("url", "http://c.org/4"), []),  # not to be published
    ],
)
def test_each_kind_of_entry_finds_its_samples(entry: tuple[str, str], numbers: list[str]) -> None:
    found = named(withdrawal(entry), {"planned": PLANNED, "located": LOCATED, "image": IMAGE})
    assert found["sample_id"].to_pylist() == numbers
    assert set(found["entry"].to_pylist()) <= {entry[1]}


def test_a_host_is_withdrawn_with_all_its_ports() -> None:
    hosts = ("a.org:8080", "img.a.org:81", "a.org.b:80", "[2001:db8::1]", "[2001:db8::1]:8080", "a.orgs:80")
    planned = pa.table(
        {"sample_id": [f"cc3m_0_{n}" for n in range(len(hosts))], "normalised_url": hosts, "host": hosts}
    )
    for host, numbers in (("a.org", [0, 1]), ("[2001:db8::1]", [3, 4])):
        found = named_by_url(withdrawal(("host", host)), {"planned": planned})
        assert found["sample_id"].to_pylist() == [f"cc3m_0_{n}" for n in numbers]


def test_a_sample_named_by_two_entries_is_found_once() -> None:
    found = named(
        withdrawal(("host", "c.org"), ("url", "http://c.org/3")),
        {"planned": PLANNED, "located": LOCATED, "image": IMAGE},
    )
    assert found.to_pylist() == [{"sample_id": "cc3m_0_3", "entry": "c.org"}]


def test_download_only_matches_by_name_url_and_host() -> None:
    found = named_by_url(withdrawal(("sha256", "a" * 64), ("host", "img.a.org")), {"planned": PLANNED})
    assert found["sample_id"].to_pylist() == ["cc3m_0_1"]
