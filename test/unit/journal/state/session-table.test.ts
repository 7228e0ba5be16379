/** Client sessions: each serial once, what is acknowledged is forgotten, bounds, and who is forgotten first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  answerSize,
  type CommandAnswer,
  createSessionTable,
  MAX_OPEN_COMMANDS,
  type SessionTable,
} from '../../../../protocols/journal/state/session-table.ts'

const answerAt = (version: number, result = ''): CommandAnswer => ({ ok: true, version, term: 1, result })

let entries = 0

/** What a state machine does with a serial, in another entry each time unless told. @returns how it stood */
const use = (
  sessions: SessionTable,
  id: number,
  serial: number,
  acked = 0,
  owner = 'peer',
  result = '',
  index = ++entries,
): string => {
  const standing = sessions.check(id, owner, serial, acked, index)
  if (standing.type === 'new') sessions.keep(standing.session, serial, answerAt(serial, result))
  return standing.type
}

test('a serial is new once, and known until it is acknowledged', () => {
  const sessions = createSessionTable()
  sessions.open(7, 'peer')
  assert.equal(use(sessions, 7, 1), 'new')
  assert.equal(use(sessions, 7, 1), 'known')
  assert.equal(use(sessions, 7, 3), 'new', 'in any order')
  assert.equal(use(sessions, 7, 2), 'new')
  const known = sessions.check(7, 'peer', 3, 0, 100)
  assert.ok(known.type === 'known')
  assert.deepEqual(known.answer, answerAt(3))
  assert.equal(use(sessions, 7, 4, 2), 'new')
  assert.deepEqual(
    [1, 2, 3, 4].map((serial) => use(sessions, 7, serial)),
    ['old', 'old', 'known', 'known'],
  )
  assert.equal(use(sessions, 7, 3, 1), 'known', 'an older acknowledgement takes nothing back')
})

test('a serial that comes after its own acknowledgement has no effect', () => {
  const sessions = createSessionTable()
  sessions.open(1, 'peer')
  assert.equal(use(sessions, 1, 5, 5), 'old')
  assert.equal(use(sessions, 1, 0), 'old', 'there is no serial 0')
})

test('a session is of who opened it, and of nobody else', () => {
  const sessions = createSessionTable()
  sessions.open(1, 'peer')
  assert.equal(use(sessions, 1, 1, 0, 'other'), 'gone')
  assert.equal(use(sessions, 2, 1), 'gone')
  assert.equal(use(sessions, 1, 1), 'new')
})

test('as many serials as a window holds are kept, and one more is refused until one is acknowledged', () => {
  const sessions = createSessionTable()
  sessions.open(1, 'peer')
  for (let serial = 1; serial <= MAX_OPEN_COMMANDS; serial += 1) assert.equal(use(sessions, 1, serial), 'new')
  assert.equal(use(sessions, 1, MAX_OPEN_COMMANDS + 1), 'too-many')
  assert.equal(use(sessions, 1, 1), 'known')
  assert.equal(use(sessions, 1, MAX_OPEN_COMMANDS + 1, 1), 'new')
})

test('the session that was used least lately is forgotten first', () => {
  const sessions = createSessionTable(3)
  for (const id of [1, 2, 3]) sessions.open(id, 'peer')
  use(sessions, 1, 1)
  sessions.open(4, 'peer')
  assert.deepEqual(
    [1, 2, 3, 4].map((id) => use(sessions, id, 9)),
    ['new', 'gone', 'new', 'new'],
  )
  assert.equal(sessions.count(), 3)
})

test('answers take so much room and no more, and the last session stays', () => {
  const result = 'x'.repeat(100)
  const each = answerSize(answerAt(1, result))
  const sessions = createSessionTable(10, 4 * each)
  for (const id of [1, 2]) sessions.open(id, 'peer')
  for (const serial of [1, 2])
    for (const id of [1, 2]) assert.equal(use(sessions, id, serial, 0, 'peer', result), 'new')
  assert.equal(sessions.count(), 2)
  assert.equal(use(sessions, 2, 3, 1, 'peer', result), 'new', 'what is acknowledged takes no room')
  assert.equal(sessions.count(), 2)
  assert.equal(use(sessions, 2, 4, 1, 'peer', result), 'new')
  assert.deepEqual([use(sessions, 1, 1), sessions.count()], ['gone', 1])
  for (let serial = 5; serial < 20; serial += 1) assert.equal(use(sessions, 2, serial, 1, 'peer', result), 'new')
  assert.equal(sessions.count(), 1)
})

test('sessions that were restored, in several parts, go on as those that were not', () => {
  const step = fc.record({
    id: fc.nat(4),
    serial: fc.nat(8),
    acked: fc.nat(6),
    result: fc.constantFrom('', 'xxxxxxxxxxxxxxxxxxxxxxxx'),
    opens: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, place) => {
      let restored = createSessionTable(3, 400)
      const live = createSessionTable(3, 400)
      for (const [i, { id, serial, acked, result, opens }] of steps.entries()) {
        if (i === place) {
          const saved = live.all().flatMap((one) => {
            const [first = [], ...rest] = one.answers.map((answer) => [answer])
            return [{ ...one, answers: first }, ...rest.map((answers) => ({ ...one, answers }))]
          })
          restored = createSessionTable(3, 400)
          restored.restore(JSON.parse(JSON.stringify(saved)))
        }
        const done = [live, restored].map((sessions) => {
          if (opens) sessions.open(100 + i, 'peer')
          return use(sessions, 100 + id, serial, acked, 'peer', result, 1_000 + i)
        })
        assert.equal(done[0], done[1])
        assert.deepEqual(live.all(), restored.all())
      }
    }),
  )
})

test('what has changed since, on top of what was there, is all that there is', () => {
  const step = fc.record({
    id: fc.nat(4),
    serial: fc.nat(8),
    acked: fc.nat(6),
    result: fc.constantFrom('', 'xxxxxxxxxxxxxxxxxxxxxxxx'),
    opens: fc.boolean(),
    takes: fc.constantFrom('no', 'no', 'no', 'kept', 'lost'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const live = createSessionTable(3, 400)
      const kept = new Map<string, unknown>()
      const keep = (changes: ReturnType<SessionTable['takeChanged']>): void => {
        for (const { id, session, answers } of changes) {
          kept.set(`${id}`, session)
          for (const [serial, answer] of answers) kept.set(`${id}/${serial}`, answer)
        }
        for (const [key, value] of kept) if (value === undefined) kept.delete(key)
      }
      for (const [i, { id, serial, acked, result, opens, takes }] of steps.entries()) {
        if (opens) live.open(100 + i, 'peer')
        use(live, 100 + id, serial, acked, 'peer', result, 1_000 + i)
        if (takes === 'no') continue
        const changes = live.takeChanged()
        if (takes === 'kept') keep(changes)
        else live.putBack(changes)
      }
      keep(live.takeChanged())
      const all = live
        .all()
        .flatMap(({ answers, ...session }): [string, unknown][] => [
          [`${session.id}`, session],
          ...answers.map(([serial, answer]): [string, unknown] => [`${session.id}/${serial}`, answer]),
        ])
      assert.deepEqual(kept, new Map(all))
      assert.deepEqual(live.takeChanged(), [])
    }),
  )
})
