/** The life of a coordinator: when it begins to act, what it runs, and when that ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RaftStatus } from '../../../protocols/consensus/raft/raft.ts'
import { type ActingFacts, createLeadership } from '../../../protocols/coordinator/leadership.ts'
import type { JournalMember } from '../../../protocols/journal/journal-server.ts'
import { decodeLoggedCommand } from '../../../protocols/journal/state/command-kind.ts'

type Status = Pick<RaftStatus, 'role' | 'term' | 'commitTerm'>
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A seat whose Raft is what the test says. */
const createSeat = () => {
  let status: Status = { role: 'follower', term: 1, commitTerm: 1 }
  const proposed: { kind: string; decide(): void; refuse(): void }[] = []
  const group = {
    status: () => status,
    propose: (bytes: Uint8Array) =>
      new Promise<unknown>((resolve, reject) => {
        const { kind } = decodeLoggedCommand(bytes)
        proposed.push({ kind, decide: () => resolve(undefined), refuse: () => reject(new Error('refused')) })
      }),
  }
  // Leading asks nothing else of a seat.
  const seat = { meshId: 'm', group, machine: {}, clock: { now: () => 1_000 } } as unknown as JournalMember
  return {
    seat,
    proposed,
    set: (next: Status): RaftStatus => {
      status = next
      return status as RaftStatus
    },
  }
}

const create = () => {
  const errors: unknown[] = []
  const changes: (number | undefined)[] = []
  const at = createSeat()
  const leading = createLeadership(
    {
      self: { id: 'me', name: 'me', mesh: 'test', incarnation: 1 },
      log: { error: (_, fields) => errors.push(fields?.error), warn: () => {}, info: () => {} },
    },
    (epoch) => changes.push(epoch),
  )
  const become = (role: Status['role'], term: number, commitTerm = term): void =>
    leading.onStatus(at.seat, at.set({ role, term, commitTerm }))
  /** Leads, and its beginning is decided. */
  const lead = async (term: number): Promise<void> => {
    become('leader', term)
    at.proposed.at(-1)?.decide()
    await turn()
  }
  return { ...at, leading, errors, changes, become, lead }
}

test('it acts once its own beginning was decided, and not while the last commit is of another term', async () => {
  const { leading, proposed, become, changes } = create()
  become('leader', 4, 3)
  assert.equal(proposed.length, 0)
  become('leader', 4)
  assert.deepEqual([proposed.map(({ kind }) => kind), leading.epoch()], [['coordinator.begin'], undefined])
  become('leader', 4)
  assert.equal(proposed.length, 1, 'it begins once')
  proposed[0]?.decide()
  await turn()
  assert.deepEqual([leading.epoch(), changes], [4, [4]])
})

test('one that lost the lead before that does not act', async () => {
  const { leading, proposed, become } = create()
  become('leader', 4)
  become('follower', 5)
  proposed[0]?.decide()
  await turn()
  assert.equal(leading.epoch(), undefined)
})

test('an old beginning that is decided late does not count for a later epoch', async () => {
  const { leading, proposed, become, changes } = create()
  become('leader', 4)
  become('follower', 5)
  become('leader', 6)
  proposed[0]?.decide()
  await turn()
  assert.equal(leading.epoch(), undefined)
  proposed[1]?.decide()
  await turn()
  assert.deepEqual([leading.epoch(), changes], [6, [6]])
  become('leader', 6)
  assert.equal(proposed.length, 2)
})

test('a beginning that is refused is tried again for as long as it leads', async () => {
  const { leading, proposed, become } = create()
  become('leader', 4)
  proposed[0]?.refuse()
  await turn()
  become('leader', 4)
  proposed[1]?.decide()
  await turn()
  assert.equal(leading.epoch(), 4)
})

test('what runs is told when the epoch is over, and runs again in the next one', async () => {
  const { leading, become, lead, changes } = create()
  const seen: ActingFacts[] = []
  leading.act((facts) => void seen.push(facts))
  assert.equal(seen.length, 0)
  await lead(4)
  leading.act((facts) => void seen.push(facts))
  assert.deepEqual(
    seen.map(({ epoch, signal }) => [epoch, signal.aborted]),
    [
      [4, false],
      [4, false],
    ],
  )
  become('follower', 5)
  assert.deepEqual([leading.epoch(), seen.map(({ signal }) => signal.aborted)], [undefined, [true, true]])
  await lead(6)
  assert.deepEqual(
    seen.map(({ epoch }) => epoch),
    [4, 4, 6, 6],
  )
  assert.deepEqual(changes, [4, undefined, 6])
})

test('a later term of its own ends the one before', async () => {
  const { leading, lead, changes } = create()
  await lead(4)
  await lead(7)
  assert.deepEqual([leading.epoch(), changes], [7, [4, undefined, 7]])
})

test('what is stopped is told, alone, and does not run again', async () => {
  const { leading, lead } = create()
  const seen: ActingFacts[] = []
  const { stop } = leading.act((facts) => void seen.push(facts))
  leading.act((facts) => void seen.push(facts))
  await lead(4)
  void stop()
  assert.deepEqual(
    seen.map(({ signal }) => signal.aborted),
    [true, false],
  )
  await lead(5)
  assert.equal(seen.length, 3)
})

test('what fails is told in the log, and harms nothing else; what fails since it was ended is not', async () => {
  const { leading, lead, become, errors } = create()
  const wait = ({ signal }: ActingFacts): Promise<void> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended'))))
  leading.act(() => {
    throw new Error('at once')
  })
  leading.act(() => Promise.reject(new Error('later')))
  leading.act(wait)
  let runs = 0
  leading.act(() => {
    runs += 1
  })
  await lead(4)
  become('follower', 5)
  await turn()
  assert.equal(runs, 1)
  assert.deepEqual(
    errors.map((error) => String(error)),
    ['Error: at once', 'Error: later'],
  )
})

test('what ends the epoch at its beginning keeps the others from running in it', async () => {
  const { leading, lead, become } = create()
  leading.act(() => become('follower', 5))
  let runs = 0
  leading.act(() => {
    runs += 1
  })
  await lead(4)
  assert.deepEqual([leading.epoch(), runs], [undefined, 0])
})

test('a seat that does not work any more ends it, and it begins again in the same term once that works', async () => {
  const { leading, lead, become, proposed, changes } = create()
  await lead(4)
  leading.checkProgress(undefined)
  assert.deepEqual([leading.epoch(), changes], [undefined, [4, undefined]])
  become('leader', 4)
  proposed.at(-1)?.decide()
  await turn()
  assert.equal(leading.epoch(), 4)
})

test('a beginning that was asked for before the seat was lost does not count after that', async () => {
  const { leading, become, proposed } = create()
  become('leader', 4)
  leading.checkProgress(undefined)
  become('leader', 4)
  proposed[0]?.decide()
  await turn()
  assert.equal(leading.epoch(), undefined)
  proposed[1]?.decide()
  await turn()
  assert.equal(leading.epoch(), 4)
})

test('a seat that was opened again begins by itself', async () => {
  const { leading, lead, changes } = create()
  await lead(4)
  const other = createSeat()
  leading.onStatus(other.seat, other.set({ role: 'follower', term: 4, commitTerm: 4 }))
  assert.equal(leading.epoch(), undefined)
  leading.onStatus(other.seat, other.set({ role: 'leader', term: 5, commitTerm: 5 }))
  other.proposed[0]?.decide()
  await turn()
  assert.deepEqual(changes, [4, undefined, 5])
})

test('what is stopped acts no more, whatever is decided yet', async () => {
  const { leading, proposed, become, lead } = create()
  become('leader', 4)
  leading.stop()
  proposed[0]?.decide()
  await turn()
  assert.equal(leading.epoch(), undefined)
  await lead(5)
  assert.deepEqual([leading.epoch(), proposed.length], [undefined, 1])
})
