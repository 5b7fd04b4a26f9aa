from flows.preflight.machine import Gpu, parse_gpus, visible

TWO = "NVIDIA H200, 143771\nTesla T4, 15360\n"


def test_gpus_are_read_from_nvidia_smi() -> None:
    h200, t4 = parse_gpus(TWO)
    assert (h200.name, round(h200.memory_gb), t4.name, round(t4.memory_gb)) == ("NVIDIA H200", 151, "Tesla T4", 16)
    assert parse_gpus("\n") == []


def test_only_visible_gpus_count() -> None:
    gpus = [Gpu("a", 1), Gpu("b", 2)]
    assert visible(gpus, None) == gpus
    assert visible(gpus, "") == [] and visible(gpus, "-1") == []
    assert visible(gpus, "1") == [gpus[1]] and visible(gpus, "1,7") == [gpus[1]]
    assert visible(gpus, "GPU-0123") == gpus[:1]
