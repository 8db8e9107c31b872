# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Front-to-back blending of splats in tiles and its gradient, as nogil numba kernels.

A splat's alpha at a pixel is ``min(opacity * exp(-sigma), 0.999)`` with ``sigma = d^T Q d / 2``, d
the offset from pixel to splat and Q the conic. Features, depth and opacity accumulate with the
weights ``alpha_i * prod_{j<i} (1 - alpha_j)``.

A tile belongs to one thread at a time and every gradient row to one slot (see ``binning``), so the
results do not depend on how many threads there are.
"""

import math

import numpy as np

from ..jit_cache import prepare_jit_cache
from .conventions import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, TILE_SIZE

prepare_jit_cache()

from numba import njit  # noqa: E402

SPLAT_GRADIENTS = 7
"""Geometry gradients per splat: mean2d x, y; conic xx, xy, yy; opacity; depth."""

# What the compiler may assume, so that it vectorises over channels. NaN and infinity are kept.
_FAST_MATH = {"reassoc", "contract", "nsz", "arcp", "afn"}

_PIXELS = TILE_SIZE * TILE_SIZE
# Spans are widened by this part of a pixel against rounding; the exact test follows per pixel.
_SPAN_SLACK = 1e-3


@njit(nogil=True, inline="always")
def _row_span(mean_x, offset_y, conic_xx, conic_xy, reach, first, last):  # type: ignore[no-untyped-def]
    """Pixels of one row inside the ellipse sigma <= sigma_max, cut to [first, last).

    On a row sigma is a parabola in x with its minimum at mean_x + conic_xy / conic_xx * offset_y;
    ``reach`` is conic_xx^2 times its squared half width.
    """
    half_width = math.sqrt(max(reach, 0.0)) / conic_xx
    middle = mean_x + conic_xy * offset_y / conic_xx - 0.5
    begin = math.ceil(max(middle - half_width - _SPAN_SLACK, float(first)))
    end = math.floor(min(middle + half_width + _SPAN_SLACK, float(last - 1))) + 1
    return int(begin), int(end)


@njit(nogil=True, inline="always")
def _column_span(mean_y, half_height, first, last):  # type: ignore[no-untyped-def]
    """Rows whose centres lie within ``half_height`` of the splat, cut to [first, last)."""
    begin = math.ceil(max(mean_y - half_height - 0.5 - _SPAN_SLACK, float(first)))
    end = math.floor(min(mean_y + half_height - 0.5 + _SPAN_SLACK, float(last - 1))) + 1
    return int(begin), int(end)


@njit(nogil=True, fastmath=_FAST_MATH, cache=True)
def blend_tiles(  # type: ignore[no-untyped-def]
    tiles, width, height, tile_offsets, slot_splats,
    means2d, conics, splat_opacities, depths, features, background,
    image, depth_image, transmittance_image, last_slot_image,
):  # fmt: skip
    """Blends the given tiles into ``image`` (H, W, C) and its companions.

    ``depth_image`` (H, W) is the weighted sum of depths, ``transmittance_image`` (H, W) what the
    background still shows through, ``last_slot_image`` (H, W) the last slot blended, -1 for none.
    """
    channels = features.shape[1]
    real = means2d.dtype.type
    one, half = real(1.0), real(0.5)
    max_alpha, min_alpha = real(MAX_ALPHA), real(MIN_ALPHA)
    min_transmittance = real(MIN_TRANSMITTANCE)
    tiles_x = -(-width // TILE_SIZE)
    sums = np.empty((_PIXELS, channels), features.dtype)
    depth_sums = np.empty(_PIXELS, means2d.dtype)
    transmittance = np.empty(_PIXELS, means2d.dtype)
    finished = np.empty(_PIXELS, np.bool_)
    last_slot = np.empty(_PIXELS, np.int32)
    for tile in tiles:
        x0 = (tile % tiles_x) * TILE_SIZE
        y0 = (tile // tiles_x) * TILE_SIZE
        x1 = min(x0 + TILE_SIZE, width)
        y1 = min(y0 + TILE_SIZE, height)
        sums[:] = 0
        depth_sums[:] = 0
        transmittance[:] = 1
        finished[:] = False
        last_slot[:] = -1
        unfinished = (x1 - x0) * (y1 - y0)
        for slot in range(tile_offsets[tile], tile_offsets[tile + 1]):
            if unfinished == 0:
                break
            g = slot_splats[slot]
            opacity = splat_opacities[g]
            conic_xx, conic_xy, conic_yy = conics[g, 0], conics[g, 1], conics[g, 2]
            mean_x, mean_y = means2d[g, 0], means2d[g, 1]
            depth = depths[g]
            feature = features[g]
            sigma_max = real(math.log(opacity / MIN_ALPHA))
            determinant = conic_xx * conic_yy - conic_xy * conic_xy
            reach_at_mean = real(2.0) * conic_xx * sigma_max
            half_height = math.sqrt(max(reach_at_mean / determinant, real(0.0)))
            row_begin, row_end = _column_span(mean_y, half_height, y0, y1)
            for y in range(row_begin, row_end):
                offset_y = mean_y - (real(y) + half)
                reach = reach_at_mean - determinant * offset_y * offset_y
                begin, end = _row_span(mean_x, offset_y, conic_xx, conic_xy, reach, x0, x1)
                for x in range(begin, end):
                    pixel = (y - y0) * TILE_SIZE + x - x0
                    if finished[pixel]:
                        continue
                    offset_x = mean_x - (real(x) + half)
                    sigma = (
                        half * (conic_xx * offset_x * offset_x + conic_yy * offset_y * offset_y)
                        + conic_xy * offset_x * offset_y
                    )
                    alpha = min(opacity * math.exp(-sigma), max_alpha)
                    if sigma < 0 or alpha < min_alpha:
                        continue
                    remaining = transmittance[pixel] * (one - alpha)
                    if remaining <= min_transmittance:
                        finished[pixel] = True
                        unfinished -= 1
                        continue
                    weight = alpha * transmittance[pixel]
                    transmittance[pixel] = remaining
                    last_slot[pixel] = slot
                    depth_sums[pixel] += weight * depth
                    sum_here = sums[pixel]
                    for k in range(channels):
                        sum_here[k] += weight * feature[k]
        for y in range(y0, y1):
            for x in range(x0, x1):
                pixel = (y - y0) * TILE_SIZE + x - x0
                depth_image[y, x] = depth_sums[pixel]
                transmittance_image[y, x] = transmittance[pixel]
                last_slot_image[y, x] = last_slot[pixel]
                for k in range(channels):
                    image[y, x, k] = sums[pixel, k] + transmittance[pixel] * background[k]


@njit(nogil=True, fastmath=_FAST_MATH, cache=True)
def blend_tiles_backward(  # type: ignore[no-untyped-def]
    tiles, width, height, tile_offsets, slot_splats,
    means2d, conics, splat_opacities, depths, features, background,
    transmittance_image, last_slot_image,
    grad_image, grad_alpha_image, grad_depth_image,
    slot_feature_gradients, slot_gradients,
):  # fmt: skip
    """Writes, for every slot of the given tiles, its row of gradients.

    Goes back to front. With T_i the transmittance before splat i, c_i its features and depth, B the
    background term and v the pixel's gradient:
    dL/dalpha_i = T_i c_i.v - (sum_{j>i} w_j c_j.v + T_end B) / (1 - alpha_i),
    so a running suffix sum per pixel is enough, and T_i = T_{i+1} / (1 - alpha_i), kept in double.
    """
    channels = features.shape[1]
    real = means2d.dtype.type
    one, half, zero = real(1.0), real(0.5), real(0.0)
    max_alpha, min_alpha = real(MAX_ALPHA), real(MIN_ALPHA)
    tiles_x = -(-width // TILE_SIZE)
    grad_pixels = np.empty((_PIXELS, channels), features.dtype)
    grad_depths = np.empty(_PIXELS, means2d.dtype)
    transmittance = np.empty(_PIXELS, np.float64)
    behind = np.empty(_PIXELS, means2d.dtype)  # what lies behind, dotted with the pixel's gradient
    last_slot = np.empty(_PIXELS, np.int32)
    for tile in tiles:
        x0 = (tile % tiles_x) * TILE_SIZE
        y0 = (tile // tiles_x) * TILE_SIZE
        x1 = min(x0 + TILE_SIZE, width)
        y1 = min(y0 + TILE_SIZE, height)
        last_of_tile = -1
        for y in range(y0, y1):
            for x in range(x0, x1):
                pixel = (y - y0) * TILE_SIZE + x - x0
                transmittance[pixel] = transmittance_image[y, x]
                last_slot[pixel] = last_slot_image[y, x]
                last_of_tile = max(last_of_tile, last_slot_image[y, x])
                grad_depths[pixel] = grad_depth_image[y, x]
                # T_end weighs the background in the image and counts negatively in alpha.
                grad_end = -grad_alpha_image[y, x]
                for k in range(channels):
                    grad_pixels[pixel, k] = grad_image[y, x, k]
                    grad_end += background[k] * grad_image[y, x, k]
                behind[pixel] = transmittance_image[y, x] * grad_end
        for slot in range(tile_offsets[tile + 1] - 1, tile_offsets[tile] - 1, -1):
            grad_feature = slot_feature_gradients[slot]
            for k in range(channels):
                grad_feature[k] = 0
            for k in range(SPLAT_GRADIENTS):
                slot_gradients[slot, k] = 0
            if slot > last_of_tile:
                continue
            g = slot_splats[slot]
            opacity = splat_opacities[g]
            conic_xx, conic_xy, conic_yy = conics[g, 0], conics[g, 1], conics[g, 2]
            mean_x, mean_y = means2d[g, 0], means2d[g, 1]
            depth = depths[g]
            feature = features[g]
            sigma_max = real(math.log(opacity / MIN_ALPHA))
            determinant = conic_xx * conic_yy - conic_xy * conic_xy
            reach_at_mean = real(2.0) * conic_xx * sigma_max
            half_height = math.sqrt(max(reach_at_mean / determinant, real(0.0)))
            grad_mean_x, grad_mean_y = zero, zero
            grad_xx, grad_xy, grad_yy = zero, zero, zero
            grad_opacity, grad_depth = zero, zero
            row_begin, row_end = _column_span(mean_y, half_height, y0, y1)
            for y in range(row_begin, row_end):
                offset_y = mean_y - (real(y) + half)
                reach = reach_at_mean - determinant * offset_y * offset_y
                begin, end = _row_span(mean_x, offset_y, conic_xx, conic_xy, reach, x0, x1)
                for x in range(begin, end):
                    pixel = (y - y0) * TILE_SIZE + x - x0
                    if slot > last_slot[pixel]:
                        continue
                    offset_x = mean_x - (real(x) + half)
                    sigma = (
                        half * (conic_xx * offset_x * offset_x + conic_yy * offset_y * offset_y)
                        + conic_xy * offset_x * offset_y
                    )
                    falloff = math.exp(-sigma)
                    unclamped = opacity * falloff
                    alpha = min(unclamped, max_alpha)
                    if sigma < 0 or alpha < min_alpha:
                        continue
                    inverse_rest = one / (one - alpha)
                    transmittance[pixel] *= inverse_rest
                    in_front = real(transmittance[pixel])
                    weight = alpha * in_front
                    grad_pixel = grad_pixels[pixel]
                    along = depth * grad_depths[pixel]
                    grad_depth += weight * grad_depths[pixel]
                    for k in range(channels):
                        along += feature[k] * grad_pixel[k]
                        grad_feature[k] += weight * grad_pixel[k]
                    grad_alpha = in_front * along - behind[pixel] * inverse_rest
                    behind[pixel] += weight * along
                    if unclamped <= max_alpha:
                        grad_sigma = -alpha * grad_alpha
                        grad_mean_x += grad_sigma * (conic_xx * offset_x + conic_xy * offset_y)
                        grad_mean_y += grad_sigma * (conic_xy * offset_x + conic_yy * offset_y)
                        grad_xx += half * grad_sigma * offset_x * offset_x
                        grad_xy += grad_sigma * offset_x * offset_y
                        grad_yy += half * grad_sigma * offset_y * offset_y
                        grad_opacity += falloff * grad_alpha
            slot_gradients[slot, 0] = grad_mean_x
            slot_gradients[slot, 1] = grad_mean_y
            slot_gradients[slot, 2] = grad_xx
            slot_gradients[slot, 3] = grad_xy
            slot_gradients[slot, 4] = grad_yy
            slot_gradients[slot, 5] = grad_opacity
            slot_gradients[slot, 6] = grad_depth


@njit(nogil=True, cache=True)
def gather_gradients(  # type: ignore[no-untyped-def]
    start, stop, splat_offsets, splat_slots, slot_feature_gradients, slot_gradients,
    grad_features, splat_gradients,
):  # fmt: skip
    """Sums the rows of the splats ``start:stop``, always in the same order.

    Adds to ``grad_features`` (N, C); overwrites ``splat_gradients`` (N, 7).
    """
    channels = grad_features.shape[1]
    for g in range(start, stop):
        for k in range(SPLAT_GRADIENTS):
            splat_gradients[g, k] = 0
        for entry in range(splat_offsets[g], splat_offsets[g + 1]):
            slot = splat_slots[entry]
            for k in range(channels):
                grad_features[g, k] += slot_feature_gradients[slot, k]
            for k in range(SPLAT_GRADIENTS):
                splat_gradients[g, k] += slot_gradients[slot, k]
