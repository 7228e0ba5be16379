/**
 * What a follower of the journal gets: all records as of now where it begins or fell too far behind, then each change.
 *
 * It is told how far this member is at least each second in which it got on, so that it can tell a member that fell behind
 * from one that has no news. State: how far each follower is.
 */
import { onAbort, waitFor } from '../async.ts'
import type { RaftGroup } from '../consensus/group/group-api.ts'
import { LEADERLESS_MS, liveLeaderOf } from '../consensus/group/live-leader.ts'
import { stateError } from '../errors.ts'
import type { Port } from '../port.ts'
import { PAGE_BYTES, PAGE_RECORDS } from './contract.ts'
import type { JournalMachine } from './state/journal-machine.ts'

const CHANGES_AT_ONCE = 500
/** A follower without news looks this often whether this member still is one, and is told how far it is. */
const MARK_MS = 1_000

interface FollowedMember {
  readonly group: RaftGroup
  readonly machine: JournalMachine
}

export interface FeedOptions {
  readonly port: Pick<Port, 'clock' | 'timers'>
  /** Only keys that begin so. */
  readonly prefix: string
  /** Changes after this version; undefined: everything there is, first. */
  readonly from: number | undefined
  readonly signal: AbortSignal
  /** The member to follow. @throws where there is none */
  open(): FollowedMember
  /** @throws where this node is not that member any more */
  check(member: FollowedMember): void
}

/** Resolves at the next entry, after MARK_MS, or when the signal is aborted. */
const nextEntry = (machine: JournalMachine, timers: Port['timers'], signal: AbortSignal): Promise<void> =>
  waitFor(undefined, (resolve) => {
    const stopHearing = machine.onApplied(() => resolve())
    const stopClock = timers.after(MARK_MS, resolve)
    const stopFollowing = onAbort(signal, resolve)
    return () => {
      stopHearing()
      stopClock()
      stopFollowing()
    }
  })

/** At least one page, which may be empty. */
const pagesOf = <T extends { readonly size: number }>(all: readonly T[]): T[][] => {
  const pages: T[][] = [[]]
  let size = 0
  for (const one of all) {
    if (size > PAGE_BYTES || (pages.at(-1)?.length ?? 0) >= PAGE_RECORDS) {
      pages.push([])
      size = 0
    }
    size += one.size
    pages.at(-1)?.push(one)
  }
  return pages
}

export async function* followJournal({ port, prefix, from, signal, open, check }: FeedOptions) {
  const member = open()
  const { group, machine } = member
  const { records } = machine
  const { timers, clock } = port
  let version = from
  let ledAt = clock.monotonic()
  let lastSentAt = clock.monotonic()
  let sentVersion = from
  while (!signal.aborted) {
    check(member)
    // Who hears no leader may be behind: its followers had better ask another one.
    if (liveLeaderOf(group) !== undefined) ledAt = clock.monotonic()
    else if (clock.monotonic() - ledAt > LEADERLESS_MS)
      throw stateError('no-leader', 'this member hears no coordinator, and may be behind', 'follow another one')
    const changes = version === undefined ? undefined : records.since(version, CHANGES_AT_ONCE, PAGE_BYTES)
    if (changes === undefined) {
      // All of it, as of now: pages are cut before anything else is applied.
      const all = records.all().filter(({ key }) => key.startsWith(prefix))
      version = machine.version()
      const pages = pagesOf(all)
      for (const [i, page] of pages.entries())
        yield { type: 'records', version, records: page, first: i === 0, last: i === pages.length - 1 } as const
      lastSentAt = clock.monotonic()
      sentVersion = version
      continue
    }
    const news = changes.filter(({ key }) => key.startsWith(prefix))
    // Without changes it is as far as this member; with some, as far as these.
    version = changes.at(-1)?.fence.index ?? Math.max(version ?? 0, machine.version())
    const isMark = news.length === 0 && version !== sentVersion && clock.monotonic() - lastSentAt >= MARK_MS
    if (news.length > 0 || isMark) {
      yield {
        type: 'changes',
        version,
        changes: news.map(({ key, fence, at, value }) => ({
          key,
          fence,
          at,
          ...(value !== undefined && { value }),
        })),
      } as const
      lastSentAt = clock.monotonic()
      sentVersion = version
    } else if (changes.length === 0) await nextEntry(machine, timers, signal)
  }
}
