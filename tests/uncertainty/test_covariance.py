"""From Gauss-Newton matrices to covariances of catalogue values."""

from __future__ import annotations

import torch

from autogal.uncertainty import covariance


def random_matrices(count=5, size=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    root = torch.randn((count, size, 3 * size), generator=rng, dtype=torch.float64)
    return root @ root.mT, torch.randn((count, size, size), generator=rng, dtype=torch.float64)


def test_inverse_carried_to_the_catalogue():
    hessian, jacobian = random_matrices()
    got, singular = covariance(hessian, jacobian, torch.zeros((5, 4), dtype=torch.bool))
    torch.testing.assert_close(got, jacobian @ torch.linalg.inv(hessian) @ jacobian.mT, rtol=1e-8, atol=1e-10)
    assert not singular.any()


def test_units_of_the_free_vector_do_not_matter():
    hessian, jacobian = random_matrices()
    frozen = torch.zeros((5, 4), dtype=torch.bool)
    unit = torch.tensor([1e-6, 1.0, 1e5, 3.0], dtype=torch.float64)
    changed = covariance(hessian * unit[:, None] * unit, jacobian * unit, frozen)[0]
    torch.testing.assert_close(changed, covariance(hessian, jacobian, frozen)[0], rtol=1e-7, atol=1e-10)


def test_a_held_parameter_has_no_error_and_the_others_are_as_if_it_were_known():
    hessian, _ = random_matrices(2)
    frozen = torch.zeros((2, 4), dtype=torch.bool)
    frozen[0, 2] = True
    got, singular = covariance(hessian, torch.eye(4, dtype=torch.float64).expand(2, 4, 4), frozen)
    rest = [0, 1, 3]
    torch.testing.assert_close(got[0][rest][:, rest], torch.linalg.inv(hessian[0][rest][:, rest]))
    assert torch.isnan(got[0, 2]).all() and torch.isnan(got[0, :, 2]).all()
    torch.testing.assert_close(got[1], torch.linalg.inv(hessian[1]))
    assert not singular.any()


def test_every_value_that_hangs_on_a_held_parameter_has_no_error():
    hessian, _ = random_matrices(1)
    jacobian = torch.eye(4, dtype=torch.float64)[None].clone()
    jacobian[0, 3, 2] = 0.5  # value 3 is made of free parameters 2 and 3
    frozen = torch.tensor([[False, False, True, False]])
    errors = covariance(hessian, jacobian, frozen)[0][0].diagonal()
    assert torch.isnan(errors).tolist() == [False, False, True, True]


def test_singular_and_not_finite_items_are_nan_and_flagged_alone():
    hessian, jacobian = random_matrices(5)
    clean = covariance(hessian, jacobian, torch.zeros((5, 4), dtype=torch.bool))[0]
    hessian[1, 2, :] = hessian[1, 1, :]  # two parameters that cannot be told apart
    hessian[1, :, 2] = hessian[1, :, 1]
    hessian[2] = torch.nan
    hessian[3, 0, :] = 0.0
    hessian[3, :, 0] = 0.0
    got, singular = covariance(hessian, jacobian, torch.zeros((5, 4), dtype=torch.bool))
    assert singular.tolist() == [False, True, True, True, False]
    assert torch.isnan(got[1:4]).all()
    assert torch.equal(got[[0, 4]], clean[[0, 4]])


def test_what_cannot_be_told_leaves_the_errors_of_the_rest():
    hessian, _ = random_matrices(3)
    hessian[0, 2, :] = hessian[0, 1, :]  # two that take each other's place
    hessian[0, :, 2] = hessian[0, :, 1]
    hessian[1, 0, :] = hessian[1, :, 0] = 0.0  # one that changes nothing
    got, singular = covariance(
        hessian, torch.eye(4, dtype=torch.float64).expand(3, 4, 4), torch.zeros((3, 4), dtype=torch.bool)
    )
    assert singular.tolist() == [True, True, False]
    assert torch.isnan(got.diagonal(dim1=-2, dim2=-1)).tolist() == [
        [False, True, True, False],
        [True, False, False, False],
        [False] * 4,
    ]
    kept = torch.linalg.inv(hessian[0][[0, 1, 3]][:, [0, 1, 3]])  # as if one of the two were known
    torch.testing.assert_close(got[0][[0, 3]][:, [0, 3]], kept[[0, 2]][:, [0, 2]])
    torch.testing.assert_close(got[1][1:, 1:], torch.linalg.inv(hessian[1][1:, 1:]))


def test_covariance_is_symmetric_and_positive():
    got = covariance(*random_matrices(20, 8, seed=3), torch.zeros((20, 8), dtype=torch.bool))[0]
    torch.testing.assert_close(got, got.mT)
    assert (torch.linalg.eigvalsh(got) > 0).all()
