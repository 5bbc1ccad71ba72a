import subprocess
import sys

import partita


def test_every_public_name_can_be_imported():
    for name in partita.__all__:
        assert getattr(partita, name).__module__.startswith("partita") or name == "Event"


def test_public_names_are_these():
    assert partita.__all__ == [
        "AccessError",
        "AdapterChoice",
        "AudioError",
        "AudioReady",
        "AudioRef",
        "AudioToAudio",
        "BusyError",
        "Cancelled",
        "Chosen",
        "Complete",
        "ConflictError",
        "Cover",
        "DeadlineError",
        "Description",
        "DownloadError",
        "Engine",
        "Event",
        "Extend",
        "Extract",
        "Finished",
        "FlowEdit",
        "LatentsReady",
        "Lego",
        "Manager",
        "ManagerConfig",
        "ModelError",
        "NotFoundError",
        "Outpaint",
        "Output",
        "PartitaError",
        "Plan",
        "Planned",
        "PlannerError",
        "PlannerOptions",
        "RadioRequest",
        "RadioStation",
        "Record",
        "Repaint",
        "ReplayError",
        "RequestError",
        "ResolvedRequest",
        "ResourceError",
        "Retake",
        "Runtime",
        "Sampling",
        "SaveError",
        "Saved",
        "Scores",
        "Settings",
        "Song",
        "SongRequest",
        "StageBegan",
        "Step",
        "Target",
        "TextToMusic",
        "TooLargeError",
        "resolve",
        "save",
    ]


def test_errors_are_one_tree_and_the_module_draws_all_of_it():
    from partita import errors

    classes = [one for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__]
    assert all(issubclass(one, partita.PartitaError) for one in classes)
    assert all(one.__name__ in (errors.__doc__ or "") for one in classes)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, partita; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
