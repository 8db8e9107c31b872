# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasteriser's kernels in NVIDIA Warp: one source for CUDA and, for the tests, for the CPU.

The same arithmetic as `projection` and `compositing` have, where its derivation stands. A Gaussian
of image b has the number ``b * count + n``; what all images share is read at ``n`` alone. A tile
of image b has the number ``b * tiles + t``.
"""

# Warp reads these functions' source: their annotations are Warp's types, which are no Python's.
# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from .conventions import (
    BLUR_VARIANCE,
    FAR_PLANE,
    MAX_ALPHA,
    MAX_EXTENT,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    TILE_SIZE,
    VIEW_MARGIN,
)

PIXELS = TILE_SIZE * TILE_SIZE
GEOMETRY = 6
"""Geometry gradients per splat: mean2d x, y; conic xx, xy, yy; opacity."""

_d = wp.float64
_blur = wp.constant(wp.float64(BLUR_VARIANCE))
_margin = wp.constant(wp.float64(VIEW_MARGIN))
_far = wp.constant(wp.float64(FAR_PLANE))
_extent = wp.constant(wp.float64(MAX_EXTENT))
_least = wp.constant(wp.float64(MIN_ALPHA))
_zero = wp.constant(wp.float64(0.0))
_one = wp.constant(wp.float64(1.0))
_two = wp.constant(wp.float64(2.0))
_widest = wp.constant(wp.float64(1e9))
_max_alpha = wp.constant(wp.float32(MAX_ALPHA))
_min_alpha = wp.constant(wp.float32(MIN_ALPHA))
_min_transmittance = wp.constant(wp.float32(MIN_TRANSMITTANCE))
_tile = wp.constant(TILE_SIZE)
_pixels = wp.constant(PIXELS)


@wp.struct
class View:
    """One camera as the kernels read it."""

    rotation: wp.mat33d
    translation: wp.vec3d
    focal: wp.vec2d
    centre: wp.vec2d
    least: wp.vec2d
    most: wp.vec2d


@wp.func
def _view(viewmats: wp.array(dtype=wp.mat44), Ks: wp.array(dtype=wp.mat33), b: int, size: wp.vec2d):
    view = View()
    m = viewmats[b]
    for row in range(3):
        for column in range(3):
            view.rotation[row, column] = _d(m[row, column])
        view.translation[row] = _d(m[row, 3])
    view.focal = wp.vec2d(_d(Ks[b][0, 0]), _d(Ks[b][1, 1]))
    view.centre = wp.vec2d(_d(Ks[b][0, 2]), _d(Ks[b][1, 2]))
    for axis in range(2):
        margin = _margin * size[axis] / view.focal[axis]
        view.least[axis] = -(view.centre[axis] / view.focal[axis] + margin)
        view.most[axis] = (size[axis] - view.centre[axis]) / view.focal[axis] + margin
    return view


@wp.func
def _rotation(q: wp.vec4d):
    """The matrix of a unit quaternion, wxyz."""
    w = q[0]
    x = q[1]
    y = q[2]
    z = q[3]
    return wp.mat33d(
        _one - _two * (y * y + z * z), _two * (x * y - w * z), _two * (x * z + w * y),
        _two * (x * y + w * z), _one - _two * (x * x + z * z), _two * (y * z - w * x),
        _two * (x * z - w * y), _two * (y * z + w * x), _one - _two * (x * x + y * y),
    )  # fmt: skip


@wp.func
def _doubled4(v: wp.vec4):
    return wp.vec4d(_d(v[0]), _d(v[1]), _d(v[2]), _d(v[3]))


@wp.func
def _doubled3(v: wp.vec3):
    return wp.vec3d(_d(v[0]), _d(v[1]), _d(v[2]))


@wp.func
def _unit(q: wp.vec4d):
    return q / wp.max(wp.length(q), _d(1e-12))


@wp.func
def _screen_axis(axes: wp.mat33d, axis: int, focal: wp.float64, slope: wp.float64, z: wp.float64):
    """A row of A = J M."""
    return (axes[axis] - slope * axes[2]) * (focal / z)


@wp.kernel(enable_backward=False)
def project(
    count: int,
    means: wp.array(dtype=wp.vec3), means_stride: int,
    quats: wp.array(dtype=wp.vec4), quats_stride: int,
    scales: wp.array(dtype=wp.vec3), scales_stride: int,
    opacities: wp.array(dtype=wp.float32), opacities_stride: int,
    viewmats: wp.array(dtype=wp.mat44), Ks: wp.array(dtype=wp.mat33),
    width: int, height: int, near: wp.float64, antialiased: int,
    means2d: wp.array(dtype=wp.vec2), conics: wp.array(dtype=wp.vec3),
    depths: wp.array(dtype=wp.float32), splat_opacities: wp.array(dtype=wp.float32),
    boxes: wp.array(dtype=wp.vec4i), touched: wp.array(dtype=wp.int32),
):  # fmt: skip
    """Splats of all images; `boxes` are their tiles as first and past the last, in x and in y."""
    g = wp.tid()
    b = g // count
    n = g - b * count
    boxes[g] = wp.vec4i(0, 0, 0, 0)
    touched[g] = 0
    means2d[g] = wp.vec2(0.0, 0.0)
    conics[g] = wp.vec3(1.0, 0.0, 1.0)
    depths[g] = 0.0
    splat_opacities[g] = 0.0
    size = wp.vec2d(_d(width), _d(height))
    view = _view(viewmats, Ks, b, size)
    p = view.rotation * _doubled3(means[b * means_stride + n]) + view.translation
    z = p[2]
    # Written so that NaN fails too: whatever is not finite is not drawn.
    if not (z > near and z < _far):
        return
    quat = _unit(_doubled4(quats[b * quats_stride + n]))
    scale = _doubled3(scales[b * scales_stride + n])
    axes = view.rotation * _rotation(quat) * wp.diag(scale)
    slope_x = wp.min(wp.max(p[0] / z, view.least[0]), view.most[0])
    slope_y = wp.min(wp.max(p[1] / z, view.least[1]), view.most[1])
    across = _screen_axis(axes, 0, view.focal[0], slope_x, z)
    down = _screen_axis(axes, 1, view.focal[1], slope_y, z)
    xx = wp.dot(across, across)
    yy = wp.dot(down, down)
    xy = wp.dot(across, down)
    sharp = xx * yy - xy * xy
    xx += _blur
    yy += _blur
    determinant = xx * yy - xy * xy
    if not (determinant > _zero and wp.isfinite(determinant)):
        return
    opacity = _d(opacities[b * opacities_stride + n])
    if antialiased != 0:
        opacity *= wp.sqrt(wp.max(sharp / determinant, _zero))
    if not (opacity >= _least and wp.isfinite(opacity)):
        return
    extent = wp.min(_extent, wp.sqrt(_two * wp.log(opacity / _least)))
    radius_x = wp.min(wp.ceil(extent * wp.sqrt(xx)), _widest)
    radius_y = wp.min(wp.ceil(extent * wp.sqrt(yy)), _widest)
    x = view.focal[0] * p[0] / z + view.centre[0]
    y = view.focal[1] * p[1] / z + view.centre[1]
    if not (
        x + radius_x > _zero
        and x - radius_x < size[0]
        and y + radius_y > _zero
        and y - radius_y < size[1]
    ):
        return
    side = _d(_tile)
    tiles_x = wp.ceil(size[0] / side)
    tiles_y = wp.ceil(size[1] / side)
    box = wp.vec4i(
        int(wp.clamp(wp.floor((x - radius_x) / side), _zero, tiles_x)),
        int(wp.clamp(wp.ceil((x + radius_x) / side), _zero, tiles_x)),
        int(wp.clamp(wp.floor((y - radius_y) / side), _zero, tiles_y)),
        int(wp.clamp(wp.ceil((y + radius_y) / side), _zero, tiles_y)),
    )
    boxes[g] = box
    touched[g] = (box[1] - box[0]) * (box[3] - box[2])
    means2d[g] = wp.vec2(wp.float32(x), wp.float32(y))
    conics[g] = wp.vec3(
        wp.float32(yy / determinant), wp.float32(-xy / determinant), wp.float32(xx / determinant)
    )
    depths[g] = wp.float32(z)
    splat_opacities[g] = wp.float32(opacity)


@wp.kernel(enable_backward=False)
def list_slots(
    count: int, tiles_x: int, tiles: int,
    depths: wp.array(dtype=wp.float32), boxes: wp.array(dtype=wp.vec4i),
    ends: wp.array(dtype=wp.int64),
    keys: wp.array(dtype=wp.int64), splats: wp.array(dtype=wp.int32),
):  # fmt: skip
    """One slot for each tile that a splat touches; sorted by its key it goes tile by tile, front
    to back, since depths are positive and their bits rise with them."""
    g = wp.tid()
    box = boxes[g]
    slot = ends[g] - wp.int64((box[1] - box[0]) * (box[3] - box[2]))
    first = (g // count) * tiles
    depth = wp.int64(wp.cast(depths[g], wp.int32))
    for y in range(box[2], box[3]):
        for x in range(box[0], box[1]):
            tile = wp.int64(first + y * tiles_x + x)
            keys[slot] = (tile << wp.int64(32)) | depth
            splats[slot] = g
            slot += wp.int64(1)


@wp.kernel(enable_backward=False)
def find_tiles(keys: wp.array(dtype=wp.int64), slots: int, ranges: wp.array(dtype=wp.vec2i)):
    """The first and past-the-last slot of every tile; tiles without any stay (0, 0)."""
    slot = wp.tid()
    tile = int(keys[slot] >> wp.int64(32))
    if slot == 0 or int(keys[slot - 1] >> wp.int64(32)) != tile:
        ranges[tile][0] = slot
    if slot == slots - 1 or int(keys[slot + 1] >> wp.int64(32)) != tile:
        ranges[tile][1] = slot + 1


@wp.func
def _pixel(t: int, tiles_x: int, tiles: int):
    """Image, tile, x and y of a thread; a tile's pixels are one block of threads."""
    tile = t // _pixels
    inside = t - tile * _pixels
    b = tile // tiles
    place = tile - b * tiles
    row = place // tiles_x
    x = (place - row * tiles_x) * _tile + inside % _tile
    y = row * _tile + inside // _tile
    return wp.vec4i(b, tile, x, y)


@wp.func
def _sigma(conic: wp.vec3, offset: wp.vec2):
    return (
        0.5 * (conic[0] * offset[0] * offset[0] + conic[2] * offset[1] * offset[1])
        + conic[1] * offset[0] * offset[1]
    )


# On CUDA the 32 threads of a warp add up what their pixels say of one splat before it is written,
# as all of them walk through the same slots; on the CPU a thread is alone.
@wp.func_native("""
#if defined(__CUDA_ARCH__)
    for (int apart = 16; apart > 0; apart /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
#endif
    return value;
""")
def _together(value: wp.float32) -> wp.float32: ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    for (int apart = 16; apart > 0; apart /= 2)
        value = max(value, __shfl_xor_sync(0xffffffffu, value, apart));
#endif
    return value;
""")
def _greatest(value: wp.int32) -> wp.int32: ...


@wp.func_native("""
#if defined(__CUDA_ARCH__)
    return (threadIdx.x & 31) == 0 ? 1 : 0;
#else
    return 1;
#endif
""")
def _writes() -> wp.int32: ...


@cache
def blending(channels: int) -> tuple[Any, Any]:
    """The kernels that blend so many channels, forward and backward."""
    Row = wp.types.vector(length=channels, dtype=wp.float32)

    @wp.kernel(enable_backward=False, module="unique")
    def blend(
        width: int, height: int, tiles_x: int, tiles: int,
        ranges: wp.array(dtype=wp.vec2i), splats: wp.array(dtype=wp.int32),
        means2d: wp.array(dtype=wp.vec2), conics: wp.array(dtype=wp.vec3),
        opacities: wp.array(dtype=wp.float32), features: wp.array(dtype=Row),
        backgrounds: wp.array(dtype=Row),
        image: wp.array3d(dtype=Row), transmittances: wp.array3d(dtype=wp.float32),
        last_slots: wp.array3d(dtype=wp.int32),
    ):  # fmt: skip
        here = _pixel(wp.tid(), tiles_x, tiles)
        b = here[0]
        x = here[2]
        y = here[3]
        if x >= width or y >= height:
            return
        centre = wp.vec2(wp.float32(x) + 0.5, wp.float32(y) + 0.5)
        sums = Row()
        transmittance = wp.float32(1.0)
        last = wp.int32(-1)
        slot = ranges[here[1]][0]
        end = ranges[here[1]][1]
        while slot < end:
            g = splats[slot]
            sigma = _sigma(conics[g], means2d[g] - centre)
            alpha = wp.min(opacities[g] * wp.exp(-sigma), _max_alpha)
            if sigma >= 0.0 and alpha >= _min_alpha:
                remaining = transmittance * (1.0 - alpha)
                if remaining <= _min_transmittance:
                    end = slot
                else:
                    sums += features[g] * (alpha * transmittance)
                    transmittance = remaining
                    last = slot
            slot += 1
        image[b, y, x] = sums + backgrounds[b] * transmittance
        transmittances[b, y, x] = transmittance
        last_slots[b, y, x] = last

    @wp.kernel(enable_backward=False, module="unique")
    def blend_backward(
        width: int, height: int, tiles_x: int, tiles: int,
        ranges: wp.array(dtype=wp.vec2i), splats: wp.array(dtype=wp.int32),
        means2d: wp.array(dtype=wp.vec2), conics: wp.array(dtype=wp.vec3),
        opacities: wp.array(dtype=wp.float32), features: wp.array(dtype=Row),
        backgrounds: wp.array(dtype=Row),
        transmittances: wp.array3d(dtype=wp.float32), last_slots: wp.array3d(dtype=wp.int32),
        grad_image: wp.array3d(dtype=Row), grad_alpha: wp.array3d(dtype=wp.float32),
        grad_features: wp.array2d(dtype=wp.float32), grad_geometry: wp.array2d(dtype=wp.float32),
    ):  # fmt: skip
        here = _pixel(wp.tid(), tiles_x, tiles)
        b = here[0]
        x = here[2]
        y = here[3]
        centre = wp.vec2(wp.float32(x) + 0.5, wp.float32(y) + 0.5)
        # Threads beside the picture walk along with the others and add nothing.
        last = wp.int32(-1)
        transmittance = wp.float32(1.0)
        behind = wp.float32(0.0)
        grad = Row()
        if x < width and y < height:
            last = last_slots[b, y, x]
            transmittance = transmittances[b, y, x]
            grad = grad_image[b, y, x]
            # What is left weighs the background in the image and counts negatively in alpha.
            behind = transmittance * (wp.dot(backgrounds[b], grad) - grad_alpha[b, y, x])
        first = ranges[here[1]][0]
        slot = _greatest(last)
        writes = _writes()
        while slot >= first and slot >= 0:
            g = splats[slot]
            conic = conics[g]
            opacity = opacities[g]
            offset = means2d[g] - centre
            sigma = _sigma(conic, offset)
            falloff = wp.exp(-sigma)
            unclamped = opacity * falloff
            alpha = wp.min(unclamped, _max_alpha)
            shows = wp.int32(0)
            if slot <= last and sigma >= 0.0 and alpha >= _min_alpha:
                shows = wp.int32(1)
            if _greatest(shows) > 0:
                weight = wp.float32(0.0)
                grad_sigma = wp.float32(0.0)
                grad_opacity = wp.float32(0.0)
                if shows > 0:
                    rest = 1.0 / (1.0 - alpha)
                    transmittance *= rest
                    weight = alpha * transmittance
                    along = wp.dot(features[g], grad)
                    grad_alpha_here = transmittance * along - behind * rest
                    behind += weight * along
                    if unclamped <= _max_alpha:
                        grad_sigma = -alpha * grad_alpha_here
                        grad_opacity = falloff * grad_alpha_here
                for k in range(channels):
                    summed = _together(weight * grad[k])
                    if writes > 0:
                        wp.atomic_add(grad_features, g, k, summed)
                grad_x = _together(grad_sigma * (conic[0] * offset[0] + conic[1] * offset[1]))
                grad_y = _together(grad_sigma * (conic[1] * offset[0] + conic[2] * offset[1]))
                grad_xx = _together(0.5 * grad_sigma * offset[0] * offset[0])
                grad_xy = _together(grad_sigma * offset[0] * offset[1])
                grad_yy = _together(0.5 * grad_sigma * offset[1] * offset[1])
                grad_o = _together(grad_opacity)
                if writes > 0:
                    wp.atomic_add(grad_geometry, g, 0, grad_x)
                    wp.atomic_add(grad_geometry, g, 1, grad_y)
                    wp.atomic_add(grad_geometry, g, 2, grad_xx)
                    wp.atomic_add(grad_geometry, g, 3, grad_xy)
                    wp.atomic_add(grad_geometry, g, 4, grad_yy)
                    wp.atomic_add(grad_geometry, g, 5, grad_o)
            slot -= 1

    return blend, blend_backward


@wp.kernel(enable_backward=False)
def project_backward(
    count: int,
    means: wp.array(dtype=wp.vec3), means_stride: int,
    quats: wp.array(dtype=wp.vec4), quats_stride: int,
    scales: wp.array(dtype=wp.vec3), scales_stride: int,
    opacities: wp.array(dtype=wp.float32), opacities_stride: int,
    viewmats: wp.array(dtype=wp.mat44), Ks: wp.array(dtype=wp.mat33),
    width: int, height: int, antialiased: int,
    touched: wp.array(dtype=wp.int32),
    geometry: wp.array2d(dtype=wp.float32), grad_depths: wp.array(dtype=wp.float32),
    grad_means: wp.array(dtype=wp.vec3), grad_quats: wp.array(dtype=wp.vec4),
    grad_scales: wp.array(dtype=wp.vec3), grad_opacities: wp.array(dtype=wp.float32),
):  # fmt: skip
    """Gradients of the Gaussians of each image by themselves; 0 where a splat is not seen."""
    g = wp.tid()
    if touched[g] <= 0:
        return
    b = g // count
    n = g - b * count
    view = _view(viewmats, Ks, b, wp.vec2d(_d(width), _d(height)))
    p = view.rotation * _doubled3(means[b * means_stride + n]) + view.translation
    z = p[2]
    raw = _doubled4(quats[b * quats_stride + n])
    quat = _unit(raw)
    turn = _rotation(quat)
    scale = _doubled3(scales[b * scales_stride + n])
    axes = view.rotation * turn * wp.diag(scale)
    slope_x = wp.min(wp.max(p[0] / z, view.least[0]), view.most[0])
    slope_y = wp.min(wp.max(p[1] / z, view.least[1]), view.most[1])
    across = _screen_axis(axes, 0, view.focal[0], slope_x, z)
    down = _screen_axis(axes, 1, view.focal[1], slope_y, z)
    sharp_xx = wp.dot(across, across)
    sharp_yy = wp.dot(down, down)
    xy = wp.dot(across, down)
    xx = sharp_xx + _blur
    yy = sharp_yy + _blur
    determinant = xx * yy - xy * xy

    # The conic Q = C^-1, hence dL/dC = -Q (dL/dQ) Q.
    conic = wp.mat22d(yy, -xy, -xy, xx) / determinant
    half = _d(0.5) * _d(geometry[g, 3])
    grad_conic = wp.mat22d(_d(geometry[g, 2]), half, half, _d(geometry[g, 4]))
    grad_cov = -(conic * grad_conic * conic)
    grad_xx = grad_cov[0, 0]
    grad_yy = grad_cov[1, 1]
    grad_xy = _two * grad_cov[0, 1]

    grad_opacity = _d(geometry[g, 5])
    if antialiased != 0:
        sharp = sharp_xx * sharp_yy - xy * xy
        kept = wp.sqrt(wp.max(sharp / determinant, _zero))
        if kept > _zero:
            grad_ratio = grad_opacity * _d(opacities[b * opacities_stride + n]) * _d(0.5) / kept
            grad_sharp = grad_ratio / determinant
            grad_blurred = -grad_ratio * sharp / (determinant * determinant)
            grad_xx += grad_sharp * sharp_yy + grad_blurred * yy
            grad_yy += grad_sharp * sharp_xx + grad_blurred * xx
            grad_xy -= _two * xy * (grad_sharp + grad_blurred)
        grad_opacity *= kept
    grad_opacities[g] = wp.float32(grad_opacity)

    # C = A A^T with A = J M; J depends on the slopes and on 1/z.
    grad_across = _two * grad_xx * across + grad_xy * down
    grad_down = _two * grad_yy * down + grad_xy * across
    scaled_x = grad_across * (view.focal[0] / z)
    scaled_y = grad_down * (view.focal[1] / z)
    depth_row = -(slope_x * scaled_x + slope_y * scaled_y)
    grad_slope_x = -wp.dot(scaled_x, axes[2])
    grad_slope_y = -wp.dot(scaled_y, axes[2])
    grad_inverse_z = z * (wp.dot(grad_across, across) + wp.dot(grad_down, down))

    # mean2d = f (x, y) / z + c; the slopes x/z and y/z are constant where they are clamped.
    at_x = _d(geometry[g, 0])
    at_y = _d(geometry[g, 1])
    grad_x = view.focal[0] / z * at_x
    grad_y = view.focal[1] / z * at_y
    grad_inverse_z += view.focal[0] * p[0] * at_x + view.focal[1] * p[1] * at_y
    if p[0] / z >= view.least[0] and p[0] / z <= view.most[0]:
        grad_x += grad_slope_x / z
        grad_inverse_z += grad_slope_x * p[0]
    if p[1] / z >= view.least[1] and p[1] / z <= view.most[1]:
        grad_y += grad_slope_y / z
        grad_inverse_z += grad_slope_y * p[1]
    grad_z = _d(grad_depths[g]) - grad_inverse_z / (z * z)
    moved = wp.transpose(view.rotation) * wp.vec3d(grad_x, grad_y, grad_z)
    grad_means[g] = wp.vec3(wp.float32(moved[0]), wp.float32(moved[1]), wp.float32(moved[2]))

    # M = W R S
    grad_axes = wp.mat33d(
        scaled_x[0], scaled_x[1], scaled_x[2],
        scaled_y[0], scaled_y[1], scaled_y[2],
        depth_row[0], depth_row[1], depth_row[2],
    )  # fmt: skip
    turned = wp.transpose(view.rotation) * grad_axes
    wide = wp.vec3()
    for k in range(3):
        wide[k] = wp.float32(
            turned[0, k] * turn[0, k] + turned[1, k] * turn[1, k] + turned[2, k] * turn[2, k]
        )
    grad_scales[g] = wide
    r = turned * wp.diag(scale)
    w = quat[0]
    i = quat[1]
    j = quat[2]
    k_ = quat[3]
    spun = wp.vec4d(
        _two * (i * (r[2, 1] - r[1, 2]) + j * (r[0, 2] - r[2, 0]) + k_ * (r[1, 0] - r[0, 1])),
        _two
        * (
            j * (r[0, 1] + r[1, 0])
            + k_ * (r[0, 2] + r[2, 0])
            + w * (r[2, 1] - r[1, 2])
            - _two * i * (r[1, 1] + r[2, 2])
        ),
        _two
        * (
            i * (r[0, 1] + r[1, 0])
            + k_ * (r[1, 2] + r[2, 1])
            + w * (r[0, 2] - r[2, 0])
            - _two * j * (r[0, 0] + r[2, 2])
        ),
        _two
        * (
            i * (r[0, 2] + r[2, 0])
            + j * (r[1, 2] + r[2, 1])
            + w * (r[1, 0] - r[0, 1])
            - _two * k_ * (r[0, 0] + r[1, 1])
        ),
    )
    # Only the part across the unit quaternion survives the normalisation.
    spun = (spun - quat * wp.dot(quat, spun)) / wp.max(wp.length(raw), _d(1e-12))
    grad_quats[g] = wp.vec4(
        wp.float32(spun[0]), wp.float32(spun[1]), wp.float32(spun[2]), wp.float32(spun[3])
    )
