/**
 * The own record: the only one that this node writes.
 *
 * State: its fields, its counters, and whether a version is being written. Versions are written one after another;
 * what changes while one is being signed goes into the next, so that ten announcements in one turn make one version.
 */
import * as z from 'zod'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import type { Departure } from './agent-record.ts'
import {
  type AgentRecord,
  compareVersions,
  fitRecord,
  RecordSchema,
  type RecordVersion,
  type SignedRecord,
  signRecord,
} from './agent-record.ts'

const UpdateSchema = RecordSchema.pick({ protocols: true, labels: true, addresses: true, price: true, stuck: true })
  .partial()
  .strict()
/** What an agent tells of itself; a field that is left out keeps its value, `price: undefined` takes the price back. */
export type Announcement = {
  [K in 'protocols' | 'labels' | 'addresses' | 'price' | 'stuck']?: AgentRecord[K] | undefined
}

/** Why a version was written, and so how it is told; the later one in this list outdoes the earlier ones. */
const REASONS = ['introduce', 'change', 'leave'] as const
export type WriteReason = (typeof REASONS)[number]

/** The next version above `version`, also when its counter is used up. */
const above = ({ incarnation, version }: RecordVersion): RecordVersion =>
  version < Number.MAX_SAFE_INTEGER
    ? { incarnation, version: version + 1 }
    : { incarnation: incarnation + 1, version: 0 }

const check = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  throw new ParleyError('MSG001', `this record cannot be announced: ${z.prettifyError(read.error)}`, {
    hint: 'the bounds of a record are in discovery/directory/record/agent-record.ts',
  })
}

/** @throws MSG001 when the node's own name or mesh does not fit into a record */
export const createOwnRecord = (
  port: Pick<Port, 'self' | 'sign'>,
  ttlMs: number,
  {
    written,
    schemasDropped,
  }: {
    written: (record: AgentRecord, signed: SignedRecord, reason: WriteReason) => void
    schemasDropped: (count: number) => void
  },
) => {
  const { id, name, mesh, incarnation } = port.self
  let fields: Omit<AgentRecord, keyof RecordVersion> = check(RecordSchema, {
    peerId: id,
    name,
    mesh,
    ttlMs,
    incarnation,
    version: 0,
    protocols: [],
    labels: {},
    addresses: [],
  })
  let latest: RecordVersion = { incarnation, version: 0 }
  let due: WriteReason | undefined
  let writing: Promise<void> | undefined
  let isStopped = false

  const drain = async (): Promise<void> => {
    // Lets everything that is announced in this turn into one version.
    await Promise.resolve()
    try {
      while (due !== undefined) {
        const reason = due
        due = undefined
        latest = above(latest)
        const record: AgentRecord = { ...fields, ...latest }
        written(record, await signRecord(port, record), reason)
      }
    } finally {
      // In the same turn as the last look at `due`: what comes later starts a new round.
      writing = undefined
    }
  }

  /** Resolves when a version with the present fields was written; rejects with what `port.sign` throws. */
  const write = (reason: WriteReason): Promise<void> => {
    if (due === undefined || REASONS.indexOf(reason) > REASONS.indexOf(due)) due = reason
    writing ??= drain()
    return writing
  }

  /** @throws MSG001 for fields that do not fit into a record; STA003 after `leave` or `stop` */
  const announce = async (update: Announcement): Promise<void> => {
    if (fields.leaving || isStopped) {
      throw new ParleyError('STA003', `agent ${name} has left the mesh or stopped, and announces nothing any more`, {
        hint: 'start a new node',
        details: { reason: 'closed' },
      })
    }
    const next = check(RecordSchema, { ...fields, ...check(UpdateSchema, update), ...latest })
    const { record, dropped } = fitRecord(next)
    const { incarnation: _, version: __, ...rest } = record
    fields = rest
    if (dropped > 0) schemasDropped(dropped)
    await write('change')
  }

  return {
    announce,
    introduce: (): Promise<void> => write('introduce'),
    leave: (departure: Departure): Promise<void> => {
      fields = { ...fields, leaving: true, departure }
      return write('leave')
    },
    /** Writes a version above one that an earlier life of this identity left behind. */
    exceed: (version: RecordVersion): Promise<void> => {
      if (compareVersions(version, latest) > 0) latest = version
      return write(fields.leaving ? 'leave' : 'change')
    },
    stop: (): void => {
      isStopped = true
    },
  }
}

/**
 * Records of this identity that this process did not write: an earlier start of it left them, or a second process has the
 * key. State: the highest one that is not answered yet. At most one answer a period, so that two living processes with one
 * key disturb the mesh no more than that.
 */
export const createIdentityConflict = (
  port: Pick<Port, 'clock' | 'log' | 'self'>,
  periodMs: number,
  exceed: (v: RecordVersion) => void,
) => {
  let claimed: RecordVersion | undefined
  let lastMs = Number.NEGATIVE_INFINITY
  const settle = (): void => {
    const nowMs = port.clock.monotonic()
    if (claimed === undefined || nowMs - lastMs < periodMs) return
    if (lastMs === Number.NEGATIVE_INFINITY) {
      port.log.warn('a record of this identity that this process did not write; writing a newer one', {
        source: port.self.id,
        hint: 'harmless once after a restart; if it goes on, another process uses the same identity key: stop one',
      })
    }
    lastMs = nowMs
    exceed(claimed)
    claimed = undefined
  }
  const add = (version: RecordVersion): void => {
    if (claimed === undefined || compareVersions(version, claimed) > 0) claimed = version
    settle()
  }
  return { add, settle }
}
