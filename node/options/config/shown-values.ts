/** What each option is and where that came from, as `parley config show` prints it. Pure. No secret is ever in it. */
import { PRESETS } from '../presets.ts'
import type { BuiltOptions } from './build-options.ts'
import { dotted, isMap, type KeyShape, leafShapes, snakeCase } from './key-shape.ts'
import { keySpace } from './key-space.ts'
import { isPathWithin } from './merge-layers.ts'
import { originText, type SettingOrigin } from './setting-layer.ts'

export interface ShownValue {
  /** `limits.max_connections` */
  readonly key: string
  /** Null for what is a secret. */
  readonly value: unknown
  readonly origin: SettingOrigin
  /** The key that was written, where it was another one. */
  readonly writtenAs?: string
}

const HIDDEN = ['secret']

const valueAt = (tree: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, name) => (isMap(inner) ? inner[name] : undefined), tree)

/** Items have keys too. */
const inKeys = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(inKeys)
  if (!isMap(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [snakeCase(name), inKeys(inner)]))
}

const rowsOf = (shape: KeyShape, built: BuiltOptions): ShownValue[] => {
  const { path, option = [] } = shape
  const { options, sources } = built
  const key = dotted(path)
  const value = valueAt(options, option)
  if (shape.kind === 'group' && shape.open !== undefined) {
    const rows = Object.entries(isMap(value) ? value : {}).map(([name, one]): ShownValue => {
      const source = sources.get(dotted([...path, name]))
      return { key: dotted([...path, name]), value: one, origin: source?.origin ?? { kind: 'default' } }
    })
    return rows
  }
  if (value === undefined) return []
  const source = sources.get(key) ?? [...sources].find(([at]) => isPathWithin(path, at.split('.')))?.[1]
  const [group = '', name = ''] = option
  const ofPreset = valueAt(PRESETS[options.preset], [group, name]) !== undefined
  const usual: SettingOrigin = ofPreset ? { kind: 'preset', name: options.preset } : { kind: 'default' }
  return [
    {
      key,
      value: HIDDEN.includes(key) ? null : inKeys(value),
      origin: source?.origin ?? usual,
      ...(source !== undefined && source.key !== key && { writtenAs: source.key }),
    },
  ]
}

/** Every option, in the order of the schema. */
export const shownValues = (built: BuiltOptions): ShownValue[] => {
  const rows = [...keySpace().options.values()].flatMap((shape): ShownValue[] => {
    // Off as a whole, or with fields: both are shown as one value or its parts.
    if (shape.kind === 'group' && shape.scalar !== undefined && !isMap(valueAt(built.options, shape.option ?? [])))
      return rowsOf({ ...shape, kind: 'leaf', schema: {} }, built)
    return (shape.kind === 'leaf' ? [shape] : shape.open === undefined ? leafShapes(shape.fields) : [shape]).flatMap(
      (leaf) => rowsOf(leaf, built),
    )
  })
  const modules = (['serve', 'parts'] as const).flatMap((key): ShownValue[] => {
    const source = built.sources.get(key)
    return source === undefined ? [] : [{ key, value: built[key], origin: source.origin }]
  })
  return [...rows, ...modules]
}

export const originOfValue = ({ origin, writtenAs }: ShownValue): string =>
  writtenAs === undefined ? originText(origin) : `${originText(origin)} (${writtenAs})`
