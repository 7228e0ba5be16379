/** A whole configuration as a change of a running node: what it does not name goes back to its default. Pure. */
import type { MeshOptionsInput } from '../schema.ts'
import { isMap } from './key-shape.ts'
import { keySpace } from './key-space.ts'
import type { KeyFields } from './setting-layer.ts'

const complete = (fields: KeyFields, given: unknown): Record<string, unknown> =>
  Object.fromEntries(
    [...fields.values()].map((shape): [string, unknown] => {
      const name = shape.option?.at(-1) ?? ''
      const value = isMap(given) ? given[name] : undefined
      const isValue = shape.kind === 'leaf' || shape.open !== undefined || shape.scalar !== undefined
      // A group that is off as a whole is one value too.
      return [name, isValue || shape.optional === true ? value : complete(shape.fields, value)]
    }),
  )

export const completeChanges = (input: MeshOptionsInput): MeshOptionsInput =>
  complete(keySpace().options, input) as MeshOptionsInput
