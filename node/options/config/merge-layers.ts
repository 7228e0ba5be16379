/**
 * Several layers of settings as one: what stands higher wins, key by key. Pure.
 *
 * Keys that say the same (a section's key and the option that it stands for, listen and transports) count as one key:
 * the higher layer's wins, and two in one layer that differ are refused.
 */
import { isDeepStrictEqual } from 'node:util'
import { dotted } from './key-shape.ts'
import { originText, type Setting, type SettingIssue } from './setting-layer.ts'

export interface RankedSetting extends Setting {
  /** Place of its layer, lowest first. */
  readonly rank: number
}

export const isPathWithin = (path: readonly string[], above: readonly string[]): boolean =>
  above.length <= path.length && above.every((name, at) => path[at] === name)

/** A group that is only named gives nothing that could hide something else. */
const hides = (higher: Setting, lower: Setting): boolean =>
  higher.value !== null &&
  (isPathWithin(lower.path, higher.path) || (isPathWithin(higher.path, lower.path) && lower.value !== null))

/** @param layers lowest first */
export const mergeLayers = (layers: readonly (readonly Setting[])[]): RankedSetting[] => {
  let kept: RankedSetting[] = []
  layers.forEach((entries, rank) => {
    const layer = entries.map((entry) => ({ ...entry, rank }))
    kept = [...kept.filter((lower) => !layer.some((higher) => hides(higher, lower))), ...layer]
  })
  return kept
}

/** A value by way of another key. */
export interface AliasedSetting {
  /** The key that was written. */
  readonly written: RankedSetting
  /** The key that it stands for. */
  readonly path: readonly string[]
  readonly value: unknown
}

/** Claims beside the entries of the keys that they stand for: which of them hold, and what contradicts. */
export const resolveAliases = (
  entries: readonly RankedSetting[],
  claims: readonly AliasedSetting[],
): { entries: RankedSetting[]; claims: AliasedSetting[]; issues: SettingIssue[] } => {
  const issues: SettingIssue[] = []
  const lost = new Set<RankedSetting>()
  const held = claims.filter((claim) => {
    const { written, path, value } = claim
    const beside = entries.filter(
      (entry) => entry.value !== null && (isPathWithin(entry.path, path) || isPathWithin(path, entry.path)),
    )
    const highest = Math.max(-1, ...beside.map(({ rank }) => rank))
    if (highest > written.rank) return false
    for (const entry of beside) {
      lost.add(entry)
      if (entry.rank < written.rank || isDeepStrictEqual(entry.value, value)) continue
      issues.push({
        path: dotted(written.path),
        origin: written.origin,
        message: `contradicts ${dotted(entry.path)} at ${originText(entry.origin)}`,
        hint: `both say the same thing; keep one of them`,
      })
    }
    return true
  })
  return { entries: entries.filter((entry) => !lost.has(entry)), claims: held, issues }
}
