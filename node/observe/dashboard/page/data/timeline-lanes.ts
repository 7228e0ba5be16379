/** Entries of a timeline under the names of their lanes, as they follow each other. Pure. */
import type { PartDataView } from '../../../debug/part-schemas.ts'

type Entry = Extract<PartDataView, { form: 'timeline' }>['entries'][number]

export interface Lane {
  /** Empty: of none. */
  readonly name: string
  readonly entries: readonly Entry[]
}

export const lanesOf = (entries: readonly Entry[]): Lane[] => {
  const lanes: { name: string; entries: Entry[] }[] = []
  for (const entry of entries) {
    const { lane: name = '' } = entry
    const last = lanes.at(-1)
    if (last?.name === name) last.entries.push(entry)
    else lanes.push({ name, entries: [entry] })
  }
  return lanes
}
