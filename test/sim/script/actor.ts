/**
 * One member on the stage of a script: the core, its disk, and the words that it has applied.
 *
 * State: the disk, which survives a crash and not its loss; the core and the words, which do not survive.
 */

import {
  createRaft,
  type Raft,
  type RaftInput,
  type RaftOutput,
  type RaftSettings,
} from '../../../protocols/consensus/raft/raft.ts'
import { RaftLog } from '../../../protocols/consensus/raft/raft-log.ts'
import type {
  AddressedMessage,
  Entry,
  HardState,
  SnapshotMeta,
} from '../../../protocols/consensus/raft/raft-messages.ts'

/** Where in its next step that writes something a member dies. */
export const DEATHS = ['before-sync', 'torn', 'after-sync'] as const
export type Death = (typeof DEATHS)[number]

export interface Snapshot {
  readonly meta: SnapshotMeta
  readonly words: readonly string[]
}

export interface Disk {
  hard: HardState
  snapshot: Snapshot | undefined
  entries: Entry[]
}

/** What others and the audience hear of a step. */
export interface Heard {
  readonly messages: readonly AddressedMessage[]
  readonly proposed: RaftOutput['proposed']
  readonly lines: readonly string[]
}

export interface Actor {
  readonly id: string
  readonly disk: Disk
  /** Undefined: it is down. */
  raft: Raft | undefined
  words: string[]
  applied: number
  isFrozen: boolean
  diesAt: Death | undefined
}

const NOBODY = { voters: [], learners: [] }
const NOTHING: Heard = { messages: [], proposed: undefined, lines: [] }

export const createActor = (id: string, founding: readonly Entry[]): Actor => ({
  id,
  disk: {
    hard: { term: founding.at(-1)?.term ?? 0, votedFor: undefined, commit: founding.length },
    snapshot: undefined,
    entries: [...founding],
  },
  raft: undefined,
  words: [],
  applied: 0,
  isFrozen: false,
  diesAt: undefined,
})

export const start = (actor: Actor, random: () => number, settings: Partial<RaftSettings>): Heard => {
  const { hard, snapshot, entries } = actor.disk
  const log = new RaftLog(snapshot?.meta ?? { index: 0, term: 0 }, entries)
  const configuration = snapshot?.meta.configuration ?? NOBODY
  actor.words = [...(snapshot?.words ?? [])]
  actor.applied = snapshot?.meta.index ?? 0
  actor.raft = createRaft({ self: actor.id, hardState: hard, configuration, log }, random, settings)
  // What the disk says is committed is applied again.
  return step(actor, undefined)
}

export const crash = (actor: Actor): void => {
  actor.raft = undefined
  actor.diesAt = undefined
  actor.isFrozen = false
}

const write = ({ disk, diesAt }: Actor, output: RaftOutput, arriving: Snapshot | undefined): void => {
  disk.hard = output.hardState ?? disk.hard
  if (output.snapshot !== undefined) {
    if (arriving?.meta.index !== output.snapshot.index) throw new Error('a snapshot without its contents')
    disk.snapshot = { meta: output.snapshot, words: arriving.words }
    disk.entries = []
  }
  const [first] = output.entries
  if (first === undefined) return
  const kept = diesAt === 'torn' ? Math.floor(output.entries.length / 2) : output.entries.length
  disk.entries = [...disk.entries.filter(({ index }) => index < first.index), ...output.entries.slice(0, kept)]
}

/** @param arriving contents of the snapshot that the message of this step carries */
export const step = (actor: Actor, input: RaftInput | undefined, arriving?: Snapshot): Heard => {
  const { raft, diesAt } = actor
  if (raft === undefined) return NOTHING
  const output = raft.step(...(input === undefined ? [] : [input]))
  const writes = output.hardState !== undefined || output.snapshot !== undefined || output.entries.length > 0
  if (!writes || diesAt !== 'before-sync') write(actor, output, arriving)
  if (writes && diesAt !== undefined) {
    crash(actor)
    return NOTHING
  }
  if (output.snapshot !== undefined) {
    actor.words = [...(actor.disk.snapshot?.words ?? [])]
    actor.applied = output.snapshot.index
  }
  for (const { kind, data, index } of output.committed) {
    if (kind === 'command') actor.words.push(new TextDecoder().decode(data))
    actor.applied = index
  }
  const lines = output.reads.map(({ id, index }) =>
    index === 0 ? `read ${id}: ask again` : `read ${id}: may be answered from ${index} on`,
  )
  return { messages: output.messages, proposed: output.proposed, lines }
}

/** All that is applied goes into a snapshot, and out of the log. @returns whether there was anything */
export const compact = ({ raft, disk, applied, words }: Actor): boolean => {
  const term = raft?.termAt(applied)
  if (raft === undefined || term === undefined || applied <= raft.status().baseIndex) return false
  disk.snapshot = { meta: { index: applied, term, configuration: raft.configurationAt(applied) }, words: [...words] }
  disk.entries = disk.entries.filter(({ index }) => index > applied)
  raft.compact(applied)
  return true
}
