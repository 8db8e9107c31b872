# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection of 3D Gaussians to 2D splats and its gradient, as nogil numba kernels.

The EWA splatting of Zwicker et al. (2001) as in 3D Gaussian Splatting (Kerbl et al., 2023). A
Gaussian with rotation R and scales S seen by a camera with rotation W has the camera-space axes
M = W R S; the pinhole projection, linearised at the centre with Jacobian J, takes them to the
screen axes A = J M (2x3), and the splat's covariance is A A^T plus the blur.

Kernels work on the Gaussians ``start`` to ``stop`` so that threads share the work.
"""

import math

import numpy as np

from ..jit_cache import prepare_jit_cache
from .conventions import BLUR_VARIANCE, FAR_PLANE, MAX_EXTENT, MIN_ALPHA, VIEW_MARGIN

prepare_jit_cache()

from numba import njit  # noqa: E402


@njit(nogil=True, inline="always")
def _rotation_matrix(quat, rotation):  # type: ignore[no-untyped-def]
    """Fills ``rotation`` (3, 3) from a wxyz quaternion of any length; returns 1 / length."""
    length = math.sqrt(quat[0] ** 2 + quat[1] ** 2 + quat[2] ** 2 + quat[3] ** 2)
    inverse_length = 1.0 / max(length, 1e-12)
    w = quat[0] * inverse_length
    x = quat[1] * inverse_length
    y = quat[2] * inverse_length
    z = quat[3] * inverse_length
    rotation[0, 0] = 1.0 - 2.0 * (y * y + z * z)
    rotation[0, 1] = 2.0 * (x * y - w * z)
    rotation[0, 2] = 2.0 * (x * z + w * y)
    rotation[1, 0] = 2.0 * (x * y + w * z)
    rotation[1, 1] = 1.0 - 2.0 * (x * x + z * z)
    rotation[1, 2] = 2.0 * (y * z - w * x)
    rotation[2, 0] = 2.0 * (x * z - w * y)
    rotation[2, 1] = 2.0 * (y * z + w * x)
    rotation[2, 2] = 1.0 - 2.0 * (x * x + y * y)
    return inverse_length


@njit(nogil=True, inline="always")
def _camera_axes(viewmat, rotation, scale, axes):  # type: ignore[no-untyped-def]
    """Fills ``axes`` (3, 3) with M = W R S: the Gaussian's axes in camera space, as columns."""
    for row in range(3):
        for column in range(3):
            axes[row, column] = scale[column] * (
                viewmat[row, 0] * rotation[0, column]
                + viewmat[row, 1] * rotation[1, column]
                + viewmat[row, 2] * rotation[2, column]
            )


@njit(nogil=True, inline="always")
def _view_bounds(focal, centre, size):  # type: ignore[no-untyped-def]
    """Least and largest x/z (or y/z) at which the Jacobian is evaluated."""
    margin = VIEW_MARGIN * size / focal
    return -(centre / focal + margin), (size - centre) / focal + margin


@njit(nogil=True, inline="always")
def _screen_axes(axes, focal_x, focal_y, slope_x, slope_y, depth, screen):  # type: ignore[no-untyped-def]
    """Fills ``screen`` (2, 3) with A = J M, where J = 1/z [[fx, 0, -fx x/z], [0, fy, -fy y/z]]."""
    for k in range(3):
        screen[0, k] = focal_x / depth * (axes[0, k] - slope_x * axes[2, k])
        screen[1, k] = focal_y / depth * (axes[1, k] - slope_y * axes[2, k])


@njit(nogil=True, cache=True)
def project_gaussians(  # type: ignore[no-untyped-def]
    start, stop, means, quats, scales, opacities, viewmat, K, width, height, near, antialiased,
    means2d, conics, depths, splat_opacities, radii,
):  # fmt: skip
    """Projects Gaussians ``start:stop``; what cannot be seen gets the radii (0, 0).

    Reads ``means`` (N, 3), ``quats`` (N, 4), ``scales`` (N, 3), ``opacities`` (N,); writes
    ``means2d`` (N, 2) pixels, ``conics`` (N, 3) the inverse covariance as xx, xy, yy,
    ``depths`` (N,) metres, ``splat_opacities`` (N,), ``radii`` (N, 2) whole pixels.
    """
    focal_x, focal_y, centre_x, centre_y = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    least_x, most_x = _view_bounds(focal_x, centre_x, width)
    least_y, most_y = _view_bounds(focal_y, centre_y, height)
    rotation = np.empty((3, 3), np.float64)
    axes = np.empty((3, 3), np.float64)
    screen = np.empty((2, 3), np.float64)
    for g in range(start, stop):
        radii[g, 0] = 0
        radii[g, 1] = 0
        means2d[g, 0] = 0.0
        means2d[g, 1] = 0.0
        conics[g, 0] = 1.0
        conics[g, 1] = 0.0
        conics[g, 2] = 1.0
        splat_opacities[g] = 0.0
        mean = means[g]
        x = (
            viewmat[0, 0] * mean[0]
            + viewmat[0, 1] * mean[1]
            + viewmat[0, 2] * mean[2]
            + viewmat[0, 3]
        )
        y = (
            viewmat[1, 0] * mean[0]
            + viewmat[1, 1] * mean[1]
            + viewmat[1, 2] * mean[2]
            + viewmat[1, 3]
        )
        z = (
            viewmat[2, 0] * mean[0]
            + viewmat[2, 1] * mean[1]
            + viewmat[2, 2] * mean[2]
            + viewmat[2, 3]
        )
        depths[g] = z
        # Written so that NaN fails too: whatever is not finite is not drawn.
        if not (z > near and z < FAR_PLANE):
            continue
        _rotation_matrix(quats[g], rotation)
        _camera_axes(viewmat, rotation, scales[g], axes)
        slope_x = min(max(x / z, least_x), most_x)
        slope_y = min(max(y / z, least_y), most_y)
        _screen_axes(axes, focal_x, focal_y, slope_x, slope_y, z, screen)
        cov_xx = screen[0, 0] ** 2 + screen[0, 1] ** 2 + screen[0, 2] ** 2
        cov_yy = screen[1, 0] ** 2 + screen[1, 1] ** 2 + screen[1, 2] ** 2
        cov_xy = (
            screen[0, 0] * screen[1, 0] + screen[0, 1] * screen[1, 1] + screen[0, 2] * screen[1, 2]
        )
        sharp_determinant = cov_xx * cov_yy - cov_xy * cov_xy
        cov_xx += BLUR_VARIANCE
        cov_yy += BLUR_VARIANCE
        determinant = cov_xx * cov_yy - cov_xy * cov_xy
        if not (determinant > 0.0 and determinant < np.inf):
            continue
        opacity = float(opacities[g])
        if antialiased:
            # Mip-Splatting's compensation: the blur must not add energy.
            opacity *= math.sqrt(max(sharp_determinant / determinant, 0.0))
        if not (opacity >= MIN_ALPHA and opacity < np.inf):
            continue
        extent = min(MAX_EXTENT, math.sqrt(2.0 * math.log(opacity / MIN_ALPHA)))
        radius_x = math.ceil(extent * math.sqrt(cov_xx))
        radius_y = math.ceil(extent * math.sqrt(cov_yy))
        mean_x = focal_x * x / z + centre_x
        mean_y = focal_y * y / z + centre_y
        on_screen = (
            mean_x + radius_x > 0.0
            and mean_x - radius_x < width
            and mean_y + radius_y > 0.0
            and mean_y - radius_y < height
        )
        if not on_screen:
            continue
        means2d[g, 0] = mean_x
        means2d[g, 1] = mean_y
        conics[g, 0] = cov_yy / determinant
        conics[g, 1] = -cov_xy / determinant
        conics[g, 2] = cov_xx / determinant
        splat_opacities[g] = opacity
        # A splat can be wider than an int32 holds; past the image's size it makes no difference.
        radii[g, 0] = int(min(radius_x, 1e9))
        radii[g, 1] = int(min(radius_y, 1e9))


@njit(nogil=True, cache=True)
def project_gaussians_backward(  # type: ignore[no-untyped-def]
    start, stop, means, quats, scales, opacities, viewmat, K, width, height, antialiased,
    radii, splat_gradients,
    grad_means, grad_quats, grad_scales, grad_opacities,
):  # fmt: skip
    """Adds the gradients of Gaussians ``start:stop`` to the four outputs.

    ``splat_gradients`` (N, 7) holds, per splat, the loss's gradient to mean2d (x, y), conic (xx,
    xy, yy; xy counted once for both off-diagonal places), splat opacity and depth.
    """
    focal_x, focal_y, centre_x, centre_y = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    least_x, most_x = _view_bounds(focal_x, centre_x, width)
    least_y, most_y = _view_bounds(focal_y, centre_y, height)
    rotation = np.empty((3, 3), np.float64)
    axes = np.empty((3, 3), np.float64)
    screen = np.empty((2, 3), np.float64)
    grad_screen = np.empty((2, 3), np.float64)
    grad_axes = np.empty((3, 3), np.float64)
    grad_rotation = np.empty((3, 3), np.float64)
    for g in range(start, stop):
        if radii[g, 0] <= 0 or radii[g, 1] <= 0:
            continue
        # The forward pass again, up to the blurred covariance.
        mean = means[g]
        x = (
            viewmat[0, 0] * mean[0]
            + viewmat[0, 1] * mean[1]
            + viewmat[0, 2] * mean[2]
            + viewmat[0, 3]
        )
        y = (
            viewmat[1, 0] * mean[0]
            + viewmat[1, 1] * mean[1]
            + viewmat[1, 2] * mean[2]
            + viewmat[1, 3]
        )
        z = (
            viewmat[2, 0] * mean[0]
            + viewmat[2, 1] * mean[1]
            + viewmat[2, 2] * mean[2]
            + viewmat[2, 3]
        )
        inverse_length = _rotation_matrix(quats[g], rotation)
        _camera_axes(viewmat, rotation, scales[g], axes)
        slope_x = min(max(x / z, least_x), most_x)
        slope_y = min(max(y / z, least_y), most_y)
        _screen_axes(axes, focal_x, focal_y, slope_x, slope_y, z, screen)
        sharp_xx = screen[0, 0] ** 2 + screen[0, 1] ** 2 + screen[0, 2] ** 2
        sharp_yy = screen[1, 0] ** 2 + screen[1, 1] ** 2 + screen[1, 2] ** 2
        cov_xy = (
            screen[0, 0] * screen[1, 0] + screen[0, 1] * screen[1, 1] + screen[0, 2] * screen[1, 2]
        )
        cov_xx = sharp_xx + BLUR_VARIANCE
        cov_yy = sharp_yy + BLUR_VARIANCE
        determinant = cov_xx * cov_yy - cov_xy * cov_xy

        # Conic Q = C^-1, hence dL/dC = -Q (dL/dQ) Q.
        conic_xx = cov_yy / determinant
        conic_xy = -cov_xy / determinant
        conic_yy = cov_xx / determinant
        grad_conic_xx = splat_gradients[g, 2]
        grad_conic_xy = 0.5 * splat_gradients[g, 3]
        grad_conic_yy = splat_gradients[g, 4]
        left_xx = conic_xx * grad_conic_xx + conic_xy * grad_conic_xy
        left_xy = conic_xx * grad_conic_xy + conic_xy * grad_conic_yy
        left_yx = conic_xy * grad_conic_xx + conic_yy * grad_conic_xy
        left_yy = conic_xy * grad_conic_xy + conic_yy * grad_conic_yy
        grad_cov_xx = -(left_xx * conic_xx + left_xy * conic_xy)
        grad_cov_yy = -(left_yx * conic_xy + left_yy * conic_yy)
        grad_cov_xy = -2.0 * (left_xx * conic_xy + left_xy * conic_yy)

        grad_opacity = float(splat_gradients[g, 5])
        if antialiased:
            # opacity' = opacity * sqrt(det(sharp) / det(blurred))
            sharp_determinant = sharp_xx * sharp_yy - cov_xy * cov_xy
            compensation = math.sqrt(max(sharp_determinant / determinant, 0.0))
            if compensation > 0.0:
                grad_ratio = grad_opacity * opacities[g] * 0.5 / compensation
                grad_sharp = grad_ratio / determinant
                grad_blurred = -grad_ratio * sharp_determinant / (determinant * determinant)
                grad_cov_xx += grad_sharp * sharp_yy + grad_blurred * cov_yy
                grad_cov_yy += grad_sharp * sharp_xx + grad_blurred * cov_xx
                grad_cov_xy -= 2.0 * cov_xy * (grad_sharp + grad_blurred)
            grad_opacity *= compensation
        grad_opacities[g] += grad_opacity

        # C = A A^T with A = J M; J depends on the slopes and on 1/z.
        grad_slope_x = 0.0
        grad_slope_y = 0.0
        grad_inverse_z = 0.0
        for k in range(3):
            grad_screen[0, k] = 2.0 * grad_cov_xx * screen[0, k] + grad_cov_xy * screen[1, k]
            grad_screen[1, k] = 2.0 * grad_cov_yy * screen[1, k] + grad_cov_xy * screen[0, k]
            scaled_x = focal_x / z * grad_screen[0, k]
            scaled_y = focal_y / z * grad_screen[1, k]
            grad_axes[0, k] = scaled_x
            grad_axes[1, k] = scaled_y
            grad_axes[2, k] = -(slope_x * scaled_x + slope_y * scaled_y)
            grad_slope_x -= scaled_x * axes[2, k]
            grad_slope_y -= scaled_y * axes[2, k]
            grad_inverse_z += z * (
                grad_screen[0, k] * screen[0, k] + grad_screen[1, k] * screen[1, k]
            )

        # mean2d = f (x, y) / z + c, the slopes x/z and y/z (constant where clamped), the depth z.
        grad_x = focal_x / z * splat_gradients[g, 0]
        grad_y = focal_y / z * splat_gradients[g, 1]
        grad_inverse_z += focal_x * x * splat_gradients[g, 0] + focal_y * y * splat_gradients[g, 1]
        if x / z >= least_x and x / z <= most_x:
            grad_x += grad_slope_x / z
            grad_inverse_z += grad_slope_x * x
        if y / z >= least_y and y / z <= most_y:
            grad_y += grad_slope_y / z
            grad_inverse_z += grad_slope_y * y
        grad_z = splat_gradients[g, 6] - grad_inverse_z / (z * z)
        for k in range(3):
            grad_means[g, k] += (
                viewmat[0, k] * grad_x + viewmat[1, k] * grad_y + viewmat[2, k] * grad_z
            )

        # M = W R S
        for row in range(3):
            for column in range(3):
                turned = (
                    viewmat[0, row] * grad_axes[0, column]
                    + viewmat[1, row] * grad_axes[1, column]
                    + viewmat[2, row] * grad_axes[2, column]
                )
                grad_scales[g, column] += turned * rotation[row, column]
                grad_rotation[row, column] = turned * scales[g, column]
        _rotation_matrix_backward(quats[g], inverse_length, grad_rotation, grad_quats[g])


@njit(nogil=True, inline="always")
def _rotation_matrix_backward(quat, inverse_length, grad, grad_quat):  # type: ignore[no-untyped-def]
    """Adds to ``grad_quat`` (4,) the gradient of ``_rotation_matrix``, normalisation included."""
    w = quat[0] * inverse_length
    x = quat[1] * inverse_length
    y = quat[2] * inverse_length
    z = quat[3] * inverse_length
    grad_w = 2.0 * (
        x * (grad[2, 1] - grad[1, 2])
        + y * (grad[0, 2] - grad[2, 0])
        + z * (grad[1, 0] - grad[0, 1])
    )
    grad_x = 2.0 * (
        y * (grad[0, 1] + grad[1, 0])
        + z * (grad[0, 2] + grad[2, 0])
        + w * (grad[2, 1] - grad[1, 2])
        - 2.0 * x * (grad[1, 1] + grad[2, 2])
    )
    grad_y = 2.0 * (
        x * (grad[0, 1] + grad[1, 0])
        + z * (grad[1, 2] + grad[2, 1])
        + w * (grad[0, 2] - grad[2, 0])
        - 2.0 * y * (grad[0, 0] + grad[2, 2])
    )
    grad_z = 2.0 * (
        x * (grad[0, 2] + grad[2, 0])
        + y * (grad[1, 2] + grad[2, 1])
        + w * (grad[1, 0] - grad[0, 1])
        - 2.0 * z * (grad[0, 0] + grad[1, 1])
    )
    # Only the part across the unit quaternion survives the normalisation.
    along = w * grad_w + x * grad_x + y * grad_y + z * grad_z
    grad_quat[0] += (grad_w - w * along) * inverse_length
    grad_quat[1] += (grad_x - x * along) * inverse_length
    grad_quat[2] += (grad_y - y * along) * inverse_length
    grad_quat[3] += (grad_z - z * along) * inverse_length
