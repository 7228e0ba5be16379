/**
 * Keeps what is good of damaged rows, as another store: what is lost may be what was answered, so it has another id.
 */
import type { Disk } from '../files/disk.ts'
import { RowEngine } from './row-engine.ts'
import { renewedId } from './row-manifest.ts'
import type { RowEngineOptions } from './row-options.ts'
import { type RowSurvey, surveyRows } from './row-survey.ts'

/** Written as one group. */
const GROUP_ROWS = 1_024
const GROUP_BYTES = 1024 * 1024

/** Writes rows in groups of a good size. */
export const createRowCopy = (engine: RowEngine) => {
  let group = new Map<string, Uint8Array>()
  let bytes = 0
  const end = async (): Promise<void> => {
    const rows = group
    group = new Map()
    bytes = 0
    await engine.write(rows)
  }
  return {
    end,
    async add(key: string, value: Uint8Array): Promise<void> {
      group.set(key, value)
      bytes += value.length
      if (group.size >= GROUP_ROWS || bytes >= GROUP_BYTES) await end()
    },
  }
}

/**
 * Copies all rows that can be read.
 * @param to an empty folder
 * @returns what was found, and what it came to
 * @throws what the disk says; `from` is as it was
 */
export const copyGoodRows = async (
  from: Disk,
  to: Disk,
  options: Pick<RowEngineOptions, 'random' | 'log'>,
): Promise<{ before: RowSurvey; after: RowSurvey }> => {
  // Twice: the first time to know whose rows they are.
  const { manifest } = await surveyRows(from)
  const engine = await RowEngine.open(to, { ...options, identity: renewedId(manifest, options.random) })
  let before: RowSurvey
  try {
    const copy = createRowCopy(engine)
    before = await surveyRows(from, copy.add)
    await copy.end()
  } finally {
    await engine.close()
  }
  return { before, after: await surveyRows(to) }
}
