/** The one process of the collections suite: a voter alone, whose part keeps rows in collections. */
import { randomBytes } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import {
  createMesh,
  defineJournalCommand,
  definePart,
  implementPart,
  type Loading,
  type Mesh,
  partPrefix,
} from '../../../node/index.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { asCount, field } from '../input.ts'
import type { Roles } from '../role.ts'
import { benchDirectory } from '../surroundings.ts'

const PART = 'bench/shelf'
const LANES = 4
const ROWS = 32
const VALUE_BYTES = 2_000
const FOUND_MS = 60_000
const LEVEL_MS = 30_000

const collectionOf = (lane: number): string => `${partPrefix(PART)}lane-${lane}`
const keyOf = (n: number): string => `row-${String(n).padStart(10, '0')}`

const fill = defineJournalCommand({
  name: `${PART}.fill`,
  level: 1,
  input: z.object({ lane: z.int().nonnegative(), from: z.int().nonnegative(), value: z.string() }),
  output: z.null(),
  rows: ({ lane, from }) =>
    Array.from({ length: ROWS }, (_, i) => ({ collection: collectionOf(lane), key: keyOf(from + i) })),
  apply(tx, { lane, from, value }) {
    const collection = tx.collection(collectionOf(lane))
    for (let i = 0; i < ROWS; i += 1) collection.put(keyOf(from + i), `${from + i} ${value}`)
    return null
  },
})

const implementation = implementPart<typeof shelf>({ start: () => ({ api: {} }) })
const shelf = definePart({
  name: PART,
  description: 'Rows in collections.',
  activate: 'start',
  journal: { level: 1, maxBytes: 1024, maxCollectionBytes: 16 * 1024 * 1024 * 1024, kinds: [fill] },
  load: async (): Loading<object> => ({ default: implementation }),
})

const open = async (dataDir: string): Promise<Mesh> => {
  const mesh = await createMesh({
    name: 'voter',
    dataDir,
    listen: [],
    debug: false,
    control: false,
    log: 'error',
    discovery: { mdns: false },
    parts: [shelf],
  })
  await mesh.coordinator.found({ timeoutMs: FOUND_MS })
  return mesh
}

/** A part's commands are taken a moment after the mesh was founded. */
const untilTaken = async (submit: () => Promise<unknown>): Promise<void> => {
  for (const endMs = performance.now() + LEVEL_MS; ; ) {
    try {
      await submit()
      return
    } catch (error) {
      if (!isParleyError(error) || error.details.reason !== 'level' || performance.now() > endMs) throw error
      await sleep(100)
    }
  }
}

const folderBytes = async (folder: string): Promise<number> => {
  const sizes = (await readdir(folder)).map(
    async (name) => (await stat(join(folder, name)).catch(() => undefined))?.size,
  )
  return (await Promise.all(sizes)).reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

const playVoter = async () => {
  const dataDir = join(benchDirectory(), `collections-${process.pid}`)
  let mesh = await open(dataDir)
  const value = randomBytes((VALUE_BYTES * 3) / 4).toString('base64')

  return {
    hello: null,
    verbs: {
      fill: async (input: unknown) => {
        const total = asCount(field(input, 'bytes'))
        await untilTaken(() => mesh.journal.submit(fill, { lane: 0, from: 0, value }))
        const delays = monitorEventLoopDelay({ resolution: 1 })
        delays.enable()
        let [bytes, next, most] = [0, ROWS, 0]
        const beganMs = performance.now()
        const lane = async (at: number): Promise<void> => {
          while (bytes < total) {
            const from = next
            next += ROWS
            bytes += ROWS * VALUE_BYTES
            await mesh.journal.submit(fill, { lane: at, from, value }, { timeoutMs: FOUND_MS })
            most = Math.max(most, process.memoryUsage.rss())
          }
        }
        await Promise.all(Array.from({ length: LANES }, (_, at) => lane(at)))
        delays.disable()
        const journal = join(dataDir, 'journal')
        return {
          perSecond: (bytes / (performance.now() - beganMs)) * 1e3,
          longestPauseMs: delays.max / 1e6,
          mostMib: most / (1024 * 1024),
          onDiskTimes: (await folderBytes(journal)) / bytes,
        }
      },
      reopen: async () => {
        await mesh.stop()
        const beganMs = performance.now()
        mesh = await open(dataDir)
        const ms = performance.now() - beganMs
        let rows = 0
        for (let after = ''; rows < 1_000; ) {
          const page = await mesh.journal.rows(collectionOf(0), { after })
          rows += page.rows.length
          if (!page.more) break
          after = page.rows.at(-1)?.key ?? ''
        }
        return { ms, rows }
      },
    },
    stop: () => mesh.stop(),
  }
}

export const roles: Roles = { voter: playVoter }
