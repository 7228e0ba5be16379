/**
 * What a disk does to the stored messages of a node: bytes are flipped, the end of the log is cut off, a table is removed.
 * The node does not start on it, where a start reads it, and says what to run; the command finds it, tells what is lost and mends the rest; the node
 * starts with another outbox, and nothing that survived is processed twice at its peer.
 */
import { open, readdir, readFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../../../soak/random.ts'
import { refusalOf } from '../../nodes.ts'
import { parley } from '../mending.ts'
import type { MessageFindings } from '../play.ts'
import { sending } from '../sending.ts'
import { type MessageStage, RECEIVER, SENDER } from '../stage.ts'
import type { KindName } from '../streams.ts'

const COUNT = 300
const HELD = 120
/** Milliseconds until what a start found in the log is in a table, and how often that is waited for. */
const TABLE_MS = 1_000
const MOST_TRIES = 6
/** Those whose items are rows of their own at the receiver, or rows in order: files beside the store are not damaged. */
const KINDS: readonly KindName[] = ['c', 'u', 'p', 'q']

export interface Damage {
  readonly name: string
  /**
   * It may lie where a start does not read: opening reads the index of a table and what is in use. Then the node starts, and
   * says so when it comes there; `parley store verify` finds it in any case.
   */
  readonly mayLieUnread?: boolean
  /** @returns what was done; undefined: there is nothing of the kind */
  do(folder: string, random: Random): Promise<string | undefined>
}

/** Behind them there are zeros, which mean nothing. */
const usedBytes = async (path: string): Promise<number> => {
  const bytes = await readFile(path)
  return 1 + bytes.findLastIndex((byte) => byte !== 0)
}

/** `size` is of what is written in it. */
const biggest = async (folder: string, ending: RegExp): Promise<{ path: string; size: number } | undefined> => {
  const files = (await readdir(folder)).filter((name) => ending.test(name)).map((name) => join(folder, name))
  const sizes = await Promise.all(files.map(async (path) => ({ path, size: await usedBytes(path) })))
  return sizes.filter(({ size }) => size > 0).toSorted((a, b) => b.size - a.size)[0]
}

const flip = async (path: string, at: number): Promise<void> => {
  const file = await open(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, at)
    byte[0] = (byte[0] ?? 0) ^ 0x10
    await file.write(byte, 0, 1, at)
    await file.sync()
  } finally {
    await file.close()
  }
}

const flipped = (name: string, ending: RegExp): Damage => ({
  name,
  async do(folder, random) {
    const file = await biggest(folder, ending)
    if (file === undefined) return undefined
    const places = Array.from({ length: 1 + random.below(3) }, () => random.below(file.size))
    for (const at of places) await flip(file.path, at)
    return `bytes ${places.join(', ')} of ${file.size} flipped`
  },
})

export const DAMAGES: readonly Damage[] = [
  flipped('flip-log', /\.log$/),
  { ...flipped('flip-table', /\.table$/), mayLieUnread: true },
  {
    name: 'cut-log',
    async do(folder, random) {
      const log = await biggest(folder, /\.log$/)
      if (log === undefined) return undefined
      // More than the last group, which alone may be gone after a power cut.
      const to = Math.floor(log.size * random.between(0.1, 0.8))
      await truncate(log.path, to)
      return `cut from ${log.size} to ${to}`
    },
  },
  {
    name: 'remove-table',
    async do(folder) {
      const table = await biggest(folder, /\.table$/)
      if (table === undefined) return undefined
      await rm(table.path)
      return `a table of ${table.size} bytes removed`
    },
  },
  {
    name: 'remove-log',
    async do(folder) {
      const log = await biggest(folder, /\.log$/)
      if (log === undefined) return undefined
      await rm(log.path)
      return `a log of ${log.size} bytes removed`
    },
  },
]

interface Mended {
  readonly lostBlocks: number
  /** Groups of changes that are known to be missing. */
  readonly lostGroups: number
  readonly problems: readonly string[]
  readonly was: string | undefined
  readonly id: string | undefined
}

const readMended = (out: string): Mended => {
  const { messages } = JSON.parse(out)
  const { lostBlocks, lostGroups, problems, was, now } = messages
  return { lostBlocks, lostGroups, problems, was, id: now?.id }
}

export interface DamagePlan {
  readonly damage: Damage
  readonly whose: typeof SENDER | typeof RECEIVER
}

/** Runs both commands on what was damaged. @returns what is wrong with what they do, and what they told */
const mend = async (dataDir: string): Promise<{ wrong: string[]; told: Mended | undefined }> => {
  const run = (verb: string, ...more: string[]) => parley(['store', verb, ...more, '--data-dir', dataDir])
  const wrong: string[] = []
  if ((await run('verify')).code === 0) wrong.push('parley store verify finds nothing')
  const repaired = await run('repair', '--json')
  if (repaired.code !== 0)
    return { wrong: [...wrong, `parley store repair: ${repaired.out} ${repaired.err}`], told: undefined }
  const told = readMended(repaired.out)
  if (told.id === undefined || told.id === told.was) wrong.push(`after the repair the store has the id ${told.id}`)
  const again = await run('verify')
  if (again.code !== 0) wrong.push(`after the repair verify says ${again.err}`)
  return { wrong, told }
}

export const damaged =
  ({ damage, whose }: DamagePlan) =>
  async (stage: MessageStage): Promise<MessageFindings> => {
    const [receiver, party] = [stage.party(RECEIVER), stage.party(whose)]
    const violations: string[] = []
    const send = sending(stage, KINDS)
    const rows = join(party.dataDir, 'messages', 'rows')
    // So that what was stored first is in a table: it is put there, beside everything else, when the store is opened, once it is
    // large enough.
    for (let tries = 0; tries < MOST_TRIES && (await biggest(rows, /\.table$/)) === undefined; tries += 1) {
      await send('a', COUNT)
      await party.kill()
      await party.start()
      await delay(TABLE_MS)
    }
    await send('a', COUNT)
    if (whose === RECEIVER) await stage.drained()
    await receiver.kill()
    await send('b', HELD)
    await party.kill()

    const done = await damage.do(rows, stage.random)
    if (done === undefined) throw new Error('there is nothing of the kind to damage')
    const refusal = await refusalOf(party)
    if (refusal === undefined) {
      if (damage.mayLieUnread !== true) violations.push('it started')
      await party.kill()
    } else if (refusal.code !== 'STA003' || refusal.reason !== 'damaged' || !/parley store repair/.test(refusal.hint))
      violations.push(`a start is refused with ${refusal.code} ${refusal.reason}: ${refusal.hint}`)
    const { wrong: troubles, told } = await mend(party.dataDir)
    violations.push(...troubles)
    stage.say(
      `${damage.name}: ${done}; ${told?.lostBlocks} blocks and ${told?.lostGroups} groups lost; ${told?.problems.join('; ')}`,
    )

    if (!party.isThere) await party.start()
    if (whose === SENDER) await receiver.start()
    await send('c', COUNT)
    await stage.drained()
    // What was on the damaged disk the sender may not send any more, and the receiver may have forgotten.
    const isBefore = (stream: string): boolean => !stream.startsWith(`${SENDER}-c.`)
    const isHeld = (stream: string): boolean => stream.startsWith(`${SENDER}-b.`)
    const { figures, wrong } = await stage.judge(
      whose === SENDER
        ? { mayMiss: isBefore }
        : {
            mayMiss: (stream) => isBefore(stream) && !isHeld(stream),
            mayBeInParts: (stream) => isBefore(stream) && !isHeld(stream),
          },
    )
    // What was lost is told; how much of the end of a log is gone nobody knows.
    const isTold = told === undefined || told.problems.length > 0
    if (figures.missedAllowed > 0 && !isTold)
      violations.push(`${figures.missedAllowed} messages are lost, and the repair tells of nothing`)
    const what = damage.name
    return {
      figures: {
        ...figures,
        damages: 1,
        'lost blocks': told?.lostBlocks ?? 0,
        'lost groups': told?.lostGroups ?? 0,
      },
      violations: [...violations, ...wrong].map((one) => `${what} (${done}): ${one}`),
    }
  }
