/**
 * A member's side of the journal: takes commands where it leads, answers reads, and serves those who follow it.
 *
 * Inbound order for a command: is it this mesh, does this member lead, is the kind known and not the coordinator's own, is
 * its level reached, does the input fit its schema (defaults are filled in here, before the log), is it small enough; then
 * Raft. What followers get: journal-feed.ts.
 * State: how many commands of each peer wait for the group.
 */

import type * as z from 'zod'
import { delay } from '../async.ts'
import type { RaftGroup } from '../consensus/group/group-api.ts'
import { peerOf } from '../consensus/member-id.ts'
import { isMember } from '../consensus/raft/configuration-history.ts'
import { isParleyError, ParleyError, stateError } from '../errors.ts'
import { createFairShares } from '../limits/fair-shares.ts'
import type { Port } from '../port.ts'
import { journalProtocol, PAGE_BYTES, PAGE_RECORDS, type WireAnswer } from './contract.ts'
import type { JournalClock } from './journal-clock.ts'
import { followJournal } from './journal-feed.ts'
import { agreePart, type KnownKind, type KnownKinds } from './part-kinds.ts'
import { beginEpoch, FEATURE_LEVEL_KEY, featureLevelOf, raiseLevel } from './state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from './state/command-kind.ts'
import { type JournalMachine, OPEN_SESSION } from './state/journal-machine.ts'

/** One command in the log, bytes. */
const MAX_COMMAND_BYTES = 524_288
/** Commands that wait for the group, over all peers. */
const MAX_PROPOSALS = 4_096
/** What the coordinator decides by itself, and nobody else. */
export const OF_COORDINATOR: ReadonlySet<string> = new Set([beginEpoch.name, raiseLevel.name, agreePart.name])

export interface JournalMember {
  readonly meshId: string
  readonly group: RaftGroup
  readonly machine: JournalMachine
  /** By which entries are stamped where this member leads, and times of records are compared. */
  readonly clock: JournalClock
}

export interface JournalServerDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'serve' | 'metrics'>
  readonly kinds: KnownKinds
  /** This node's member, while it is one. */
  member(): JournalMember | undefined
}

export const notFounded = (): ParleyError =>
  stateError(
    'not-founded',
    'this mesh has no coordinator group yet',
    'see `parley coordinator status` for what it waits for',
  )

const noMember = (): ParleyError =>
  stateError('no-member', 'this node has no part in the journal, or no more', 'ask a voter')

/** That every voter knows this command. */
const checkLevel = ({ name, level, part }: KnownKind, { records }: JournalMachine): void => {
  if (part === undefined) {
    const has = featureLevelOf(records.get(FEATURE_LEVEL_KEY)?.value)
    if (level <= has) return
    throw stateError('level', `${name} needs level ${level}; the voters are at ${has}`, 'upgrade all voters')
  }
  const has = records.parts.agreed(part)?.level ?? 0
  if (level <= has) return
  const what = has === 0 ? 'not every voter has it' : `the voters have ${part}@${has}`
  throw stateError(
    'level',
    `${name} needs ${part}@${level}, and ${what}`,
    `give ${part} to createMesh({ parts }) of all nodes that may vote, in the newest version; then try again`,
    { part, agreed: has },
  )
}

/** With its defaults filled in. @throws where the kind is not known, not for everybody or not reached yet, or does not fit */
const checkedInput = (
  kinds: KnownKinds,
  machine: JournalMachine,
  { name, input, by }: { readonly name: string; readonly input: unknown; readonly by: string },
): Json => {
  const kind = kinds.get(name)
  if (kind === undefined)
    throw new ParleyError('MSG004', `the journal knows no command ${name}`, {
      hint: 'is this node older than the one that asks? all voters need the same version first',
      details: { reason: 'unknown-command' },
    })
  if (OF_COORDINATOR.has(name))
    throw new ParleyError('SEC002', `${name} is for the coordinator alone`, { hint: 'decide something else' })
  checkLevel(kind, machine)
  const parsed = kind.input.safeParse(input)
  if (!parsed.success)
    throw new ParleyError('MSG001', `the input of ${name} is not usable: ${parsed.error.issues[0]?.message}`, {
      hint: 'see details.issues',
      details: { issues: parsed.error.issues.slice(0, 16).map(({ path, message }) => ({ path, message })) },
    })
  kind.admit?.((key) => machine.records.get(key)?.value, parsed.data, by)
  return parsed.data as Json
}

/** What was refused here: commands before they enter the log, those that failed when they were applied, and parts of others. */
const createRefusalCount = (metrics: Port['metrics']) => {
  const count = metrics.counter(
    'journal_refused_total',
    'Commands, and changes of tasks in them, that were refused where this node coordinates, by code',
    ['code'],
  )
  return {
    thrown(error: unknown): void {
      if (isParleyError(error)) count({ code: error.code })
    },
    answered(kind: KnownKind | undefined, answer: WireAnswer): void {
      if (!answer.ok) count({ code: answer.fault.code })
      else for (const code of kind?.refusals?.(answer.result) ?? []) count({ code })
    },
  }
}

type SubmitRequest = z.output<typeof journalProtocol.methods.submit.request>

/** As it enters the log. @throws what `checkedInput` throws, MSG001 for one that is too large */
const loggedBytes = (
  kinds: KnownKinds,
  machine: JournalMachine,
  { kind, session, serial, acked, input }: SubmitRequest,
  { by, at }: { readonly by: string; readonly at: number },
): Uint8Array => {
  const checked = kind === OPEN_SESSION ? null : checkedInput(kinds, machine, { name: kind, input, by })
  const bytes = encodeLoggedCommand({ kind, session, serial, acked, at, by, input: checked })
  if (bytes.length <= MAX_COMMAND_BYTES) return bytes
  throw new ParleyError('MSG001', `the command has ${bytes.length} bytes`, {
    hint: `keep it below ${MAX_COMMAND_BYTES}; put large data elsewhere and decide on its digest`,
  })
}

/** Of a page that may have ended for its bytes. */
const hasMore = async (
  { records }: JournalMachine,
  collection: string,
  rows: readonly { readonly key: string }[],
): Promise<boolean> => {
  const last = rows.at(-1)
  return last !== undefined && (await records.collections.list(collection, last.key, 1, PAGE_BYTES)).length > 0
}

export const serveJournal = ({ port, kinds, member }: JournalServerDeps): Promise<() => Promise<void>> => {
  const ownMember = (meshId: string): JournalMember => {
    const found = member()
    if (found === undefined) throw noMember()
    if (found.meshId !== meshId)
      throw stateError('other-mesh', `this is the mesh ${found.meshId}`, 'meshes that were founded apart do not mix')
    return found
  }
  /** Of one that may answer reads: who was not made a member yet has nothing to tell. */
  const memberOf = (meshId: string): JournalMember => {
    const found = ownMember(meshId)
    if (!isMember(found.group.status().configuration, found.group.self)) throw noMember()
    return found
  }
  const notLeading = (group: RaftGroup): ParleyError => {
    const { leader, term } = group.status()
    const known = leader === undefined ? {} : { leader: peerOf(leader) }
    return stateError('not-leader', 'this node does not coordinate', 'ask the coordinator', { epoch: term, ...known })
  }

  /** Of each peer; all of them fit into what the group lets wait. */
  const proposals = createFairShares(MAX_PROPOSALS)
  const refusals = createRefusalCount(port.metrics)
  const takeOrCount = ({ machine, clock }: JournalMember, command: SubmitRequest, by: string): Uint8Array => {
    try {
      const bytes = loggedBytes(kinds, machine, command, { by, at: clock.now() })
      if (proposals.take(by)) return bytes
      throw new ParleyError('COM003', `too many commands of ${by} wait for the coordinator`, {
        hint: 'wait for answers before you send more',
        details: { reason: 'journal-share' },
      })
    } catch (error) {
      refusals.thrown(error)
      throw error
    }
  }

  return port.serve(journalProtocol, {
    async submit(command, { peer }) {
      const own = ownMember(command.meshId)
      const { group } = own
      if (group.status().role !== 'leader') throw notLeading(group)
      const bytes = takeOrCount(own, command, peer)
      try {
        const answer = (await group.propose(bytes)) as WireAnswer
        refusals.answered(kinds.get(command.kind), answer)
        return answer
      } finally {
        proposals.give(peer)
      }
    },

    async read({ meshId, key, prefix = '', after = '', most = PAGE_RECORDS, consistency }, { signal }) {
      const { group, machine } = memberOf(meshId)
      const { records } = machine
      if (consistency === 'linearizable') await group.readable(signal)
      const version = group.applied()
      if (key !== undefined) {
        const record = records.get(key)
        return { version, records: record === undefined ? [] : [record], more: false }
      }
      const found = records.list(prefix, after, most, PAGE_BYTES)
      const last = found.at(-1)
      const more = last !== undefined && records.list(prefix, last.key, 1, PAGE_BYTES).length > 0
      return { version, records: found, more }
    },

    async rows({ meshId, collection, key, after = '', most = PAGE_RECORDS, consistency }, { signal }) {
      const { group, machine } = memberOf(meshId)
      if (consistency === 'linearizable') await group.readable(signal)
      const version = group.applied()
      if (key !== undefined) {
        const value = await machine.records.collections.read(collection, key)
        return { version, rows: value === undefined ? [] : [{ key, value }], more: false }
      }
      const { collections } = machine.records
      await collections.sort(collection, () => delay(port.timers, 0))
      const rows = await collections.list(collection, after, most + 1, PAGE_BYTES)
      const more = rows.length > most
      return { version, rows: rows.slice(0, most), more: more || (await hasMore(machine, collection, rows)) }
    },

    follow: ({ meshId, prefix, from }, { signal }) =>
      followJournal({
        port,
        prefix,
        from,
        signal,
        open: () => memberOf(meshId),
        check({ group }) {
          if (!isMember(group.status().configuration, group.self) || member()?.group !== group) throw noMember()
        },
      }),
  })
}
