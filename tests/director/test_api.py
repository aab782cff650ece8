import importlib
import pkgutil

import director


def test_no_module_hides_a_name_of_the_api():
    for module in pkgutil.walk_packages(director.__path__, "director."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in director.__all__:
        assert callable(getattr(director, name)), name


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(director, "nothing_of_the_kind")
