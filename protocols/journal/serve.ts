/**
 * A member's side of the journal: takes commands where it leads, answers reads, and tells followers what changes.
 *
 * Inbound order for a command: is it this mesh, does this member lead, is the kind known and its level reached, does the
 * input fit its schema (defaults are filled in here, before the log), is it small enough; then Raft.
 * State: none of its own but the followers that wait for the next change.
 */
import { isMember } from '../consensus/configurations.ts'
import type { Group } from '../consensus/group-api.ts'
import { peerOf } from '../consensus/member-id.ts'
import { ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import { type AnyCommandKind, encodeCommand, type Json } from './command.ts'
import { journalProtocol, PAGE_BYTES, PAGE_RECORDS, type WireAnswer } from './contract.ts'
import { LEVEL_KEY, levelOf } from './kinds.ts'
import { type JournalMachine, OPEN_SESSION } from './machine.ts'

/** One command in the log, bytes. */
const MAX_COMMAND_BYTES = 524_288
const CHANGES_AT_ONCE = 500

export interface JournalSeat {
  readonly meshId: string
  readonly group: Group
  readonly machine: JournalMachine
}

export interface ServeDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'serve'>
  readonly kinds: ReadonlyMap<string, AnyCommandKind>
  /** This node's seat, while it has one. */
  seat(): JournalSeat | undefined
}

const refuse = (reason: string, message: string, hint: string, more: Record<string, unknown> = {}): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason, ...more } })

export const notFounded = (): ParleyError =>
  refuse(
    'not-founded',
    'this mesh has no coordinator group yet',
    'see `parley coordinator status` for what it waits for',
  )

/** Resolves at the next entry, or when the signal is aborted. */
const nextEntry = (machine: JournalMachine, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      stop()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const stop = machine.onApplied(end)
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
  })

export const serveJournal = ({ port, kinds, seat }: ServeDeps): Promise<() => Promise<void>> => {
  const seatOf = (meshId: string): JournalSeat => {
    const found = seat()
    if (found === undefined) throw refuse('no-member', 'this node has no part in the journal', 'ask a voter')
    if (found.meshId !== meshId)
      throw refuse('other-mesh', `this is the mesh ${found.meshId}`, 'meshes that were founded apart do not mix')
    return found
  }
  const notLeading = ({ group }: JournalSeat): ParleyError => {
    const { leader, term } = group.status()
    const known = leader === undefined ? {} : { leader: peerOf(leader) }
    return refuse('not-leader', 'this node does not coordinate', 'ask the coordinator', { epoch: term, ...known })
  }

  return port.serve(journalProtocol, {
    async submit({ meshId, kind: name, session, serial, acked, input }, { peer }) {
      const at = seatOf(meshId)
      const { group, machine } = at
      if (group.status().role !== 'leader') throw notLeading(at)
      let checked: Json = null
      if (name !== OPEN_SESSION) {
        const kind = kinds.get(name)
        if (kind === undefined)
          throw new ParleyError('MSG004', `the journal knows no command ${name}`, {
            hint: 'is this node older than the one that asks? all voters need the same version first',
          })
        const level = levelOf(machine.records.get(LEVEL_KEY)?.value)
        if (kind.level > level)
          throw refuse('level', `${name} needs level ${kind.level}; the voters are at ${level}`, 'upgrade all voters')
        const parsed = kind.input.safeParse(input)
        if (!parsed.success)
          throw new ParleyError('MSG001', `the input of ${name} is not usable: ${parsed.error.issues[0]?.message}`, {
            hint: 'see details.issues',
            details: { issues: parsed.error.issues.slice(0, 16).map(({ path, message }) => ({ path, message })) },
          })
        checked = parsed.data as Json
      }
      const bytes = encodeCommand({
        kind: name,
        session,
        serial,
        acked,
        at: port.clock.now(),
        by: peer,
        input: checked,
      })
      if (bytes.length > MAX_COMMAND_BYTES)
        throw new ParleyError('MSG001', `the command has ${bytes.length} bytes`, {
          hint: `keep it below ${MAX_COMMAND_BYTES}; put large data elsewhere and decide on its digest`,
        })
      return (await group.propose(bytes)) as WireAnswer
    },

    async read({ meshId, key, prefix = '', after = '', most = PAGE_RECORDS, consistency }, { signal }) {
      const { group, machine } = seatOf(meshId)
      const { records } = machine
      if (consistency === 'linearizable') await group.readable(signal)
      const { version } = { version: group.applied() }
      if (key !== undefined) {
        const record = records.get(key)
        return { version, records: record === undefined ? [] : [record], more: false }
      }
      const found = records.list(prefix, after, most, PAGE_BYTES)
      const last = found.at(-1)
      const more = last !== undefined && records.list(prefix, last.key, 1, PAGE_BYTES).length > 0
      return { version, records: found, more }
    },

    async *follow({ meshId, prefix, from }, { signal }) {
      const { group, machine } = seatOf(meshId)
      const { records } = machine
      let version = from
      while (!signal.aborted) {
        // A member that lost its seat hears of nothing any more.
        if (!isMember(group.status().configuration, group.self) || seat()?.group !== group)
          throw refuse('no-member', 'this node has no part in the journal any more', 'follow another one')
        const changes = version === undefined ? undefined : records.since(version, CHANGES_AT_ONCE)
        if (changes === undefined) {
          // All of it, as of now: pages are cut before anything else is applied.
          const all = records.all().filter(({ key }) => key.startsWith(prefix))
          version = machine.version()
          const pages = pagesOf(all)
          for (const [i, page] of pages.entries())
            yield { type: 'records', version, records: page, first: i === 0, last: i === pages.length - 1 } as const
          continue
        }
        const last = changes.at(-1)
        if (last === undefined) {
          await nextEntry(machine, signal)
          continue
        }
        version = last.fence.index
        const told = changes.filter(({ key }) => key.startsWith(prefix))
        if (told.length === 0) continue
        yield {
          type: 'changes',
          version,
          changes: told.map(({ key, fence, at, value }) => ({ key, fence, at, ...(value !== undefined && { value }) })),
        } as const
      }
    },
  })
}

/** At least one page, which may be empty. */
const pagesOf = <T extends { readonly size: number }>(all: readonly T[]): T[][] => {
  const pages: T[][] = [[]]
  let size = 0
  for (const one of all) {
    if (size > PAGE_BYTES) {
      pages.push([])
      size = 0
    }
    size += one.size
    pages.at(-1)?.push(one)
  }
  return pages
}
