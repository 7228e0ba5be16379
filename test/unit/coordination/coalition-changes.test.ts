/** What is decided about coalitions: who may, what becomes of them, and what an owner may have. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import {
  type CoalitionChange,
  CoalitionChangeSchema,
} from '../../../protocols/coordination/journal/coalition-changes.ts'
import { MAX_COALITION_BYTES, MAX_COALITIONS } from '../../../protocols/coordination/journal/coalition-ledger.ts'
import { CoalitionJournal, LEADER } from '../../support/coalition-journal.ts'

const TRIO = ['ann', 'bob', 'cat']

const active = (): CoalitionJournal => {
  const journal = new CoalitionJournal()
  journal.propose('owner', 'c', TRIO)
  journal.join('c', TRIO)
  assert.equal(journal.form('c'), null)
  return journal
}

describe('a coalition', () => {
  it('is proposed by anybody, joined, formed and led, under a newer fence each time', () => {
    const journal = new CoalitionJournal()
    assert.deepEqual(journal.propose('owner', 'c', TRIO), { isKnown: false })
    const proposed = journal.get('c')
    assert.equal(proposed?.state, 'forming')
    assert.equal(proposed?.leader, 'ann')
    assert.equal(proposed?.until, 61_000)
    assert.equal(journal.join('c', ['ann', 'bob']), null)
    assert.equal(journal.form('c'), 'STA003 coalition-status', 'not all have joined')
    journal.join('c', ['cat'])
    assert.equal(journal.form('c'), null)
    const formed = journal.get('c')
    assert.equal(formed?.state, 'active')
    assert.ok((formed?.fence.index ?? 0) > (proposed?.fence.index ?? 0))
    assert.equal(
      journal.one(LEADER, { do: 'lead', epoch: 1, id: 'c', as: formed?.fence.index ?? 0, leader: 'cat' }),
      null,
    )
    assert.equal(journal.get('c')?.leader, 'cat')
    assert.deepEqual(journal.bugs, [])
  })

  it('leaves out who did not join, where enough others did; the first of those leads', () => {
    const journal = new CoalitionJournal()
    journal.propose('owner', 'c', TRIO, { minMembers: 2 })
    journal.join('c', ['bob', 'cat', 'stranger'])
    assert.equal(journal.form('c'), null)
    assert.deepEqual(journal.get('c')?.members, [
      { peer: 'bob', accepted: true },
      { peer: 'cat', accepted: true },
    ])
    assert.equal(journal.get('c')?.leader, 'bob')
  })

  it('proposed again just so is the same one, also once somebody left; otherwise its id is taken', () => {
    const journal = active()
    journal.one('bob', { do: 'leave', id: 'c' })
    assert.deepEqual(journal.propose('owner', 'c', TRIO), { isKnown: true })
    assert.equal(journal.propose('owner', 'c', ['ann', 'dan', 'cat']), 'STA003 exists')
    assert.equal(journal.propose('owner', 'c', TRIO, { goal: 'another' }), 'STA003 exists')
    assert.equal(journal.propose('eve', 'c', TRIO), 'STA003 exists')
    assert.equal(journal.usage('owner'), 1)
    assert.equal(journal.usage('eve'), 0)
  })

  it('that makes no sense is refused, and nothing is written', () => {
    const journal = new CoalitionJournal()
    const coalition = { goal: 'g', leader: 'ann', members: TRIO, minMembers: 3, ttlMs: 1 }
    for (const bad of [{ members: ['ann', 'ann', 'bob'] }, { leader: 'dan' }, { minMembers: 4 }])
      assert.equal(journal.one('owner', { do: 'propose', id: 'c', coalition: { ...coalition, ...bad } }), 'MSG001')
    assert.equal(journal.get('c'), undefined)
    assert.equal(journal.usage('owner'), 0)
  })

  it('is left by its members: the next one leads, and the last one dissolves it', () => {
    const journal = active()
    assert.equal(journal.one('ann', { do: 'leave', id: 'c' }), null)
    assert.equal(journal.get('c')?.leader, 'bob')
    assert.equal(journal.one('cat', { do: 'leave', id: 'c' }), null)
    assert.equal(journal.get('c')?.leader, 'bob')
    assert.equal(journal.one('cat', { do: 'leave', id: 'c' }), 'SEC002', 'it left before')
    assert.equal(journal.one('bob', { do: 'leave', id: 'c' }), null)
    assert.equal(journal.get('c')?.state, 'dissolved')
    assert.equal(journal.get('c')?.reason, 'none of its members is left')
  })

  it('goes on without members that refuse: the next one leads, and without any it is dissolved', () => {
    const journal = active()
    const drop = (peers: string[]): unknown =>
      journal.one(LEADER, { do: 'drop', epoch: 1, id: 'c', as: journal.get('c')?.fence.index ?? 0, peers })
    assert.equal(drop(['ann', 'stranger']), null)
    assert.equal(journal.get('c')?.leader, 'bob')
    assert.equal(
      journal.one(LEADER, { do: 'drop', epoch: 1, id: 'c', as: 1, peers: ['bob'] }),
      'STA003 coalition-status',
    )
    assert.equal(drop(['bob', 'cat']), null)
    assert.equal(journal.get('c')?.state, 'dissolved')
  })

  it('that is dissolved changes no more, and goes when it is forgotten', () => {
    const journal = active()
    journal.propose('owner', 'd', TRIO)
    const as = journal.get('c')?.fence.index ?? 0
    assert.equal(journal.one('owner', { do: 'dissolve', id: 'c', reason: 'done' }), null)
    assert.equal(journal.get('c')?.reason, 'done')
    const late: CoalitionChange[] = [
      { do: 'leave', id: 'c' },
      { do: 'dissolve', id: 'c', epoch: 1 },
      { do: 'join', epoch: 1, id: 'c', peers: ['ann'] },
      { do: 'form', epoch: 1, id: 'c', as },
      { do: 'drop', epoch: 1, id: 'c', as, peers: ['bob'] },
      { do: 'lead', epoch: 1, id: 'c', as, leader: 'bob' },
    ]
    for (const change of late) assert.equal(journal.one(LEADER, change), 'STA003 ended', change.do)
    assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['c', 'd', 'unknown'] }), null)
    assert.equal(journal.get('c'), undefined)
    assert.equal(journal.get('d')?.state, 'forming', 'one that is open is not forgotten')
    assert.equal(journal.usage('owner'), 1)
  })

  it('is decided about as of what was read: an older version is refused', () => {
    const journal = active()
    const as = journal.get('c')?.fence.index ?? 0
    journal.one('cat', { do: 'leave', id: 'c' })
    assert.equal(journal.one(LEADER, { do: 'lead', epoch: 1, id: 'c', as, leader: 'bob' }), 'STA003 coalition-status')
    const now = journal.get('c')?.fence.index ?? 0
    assert.equal(
      journal.one(LEADER, { do: 'lead', epoch: 1, id: 'c', as: now, leader: 'cat' }),
      'STA003 coalition-status',
    )
    assert.equal(journal.join('c', ['cat']), 'STA003 coalition-status', 'it is active')
    assert.equal(journal.form('c'), 'STA003 coalition-status')
    assert.equal(journal.one('ann', { do: 'leave', id: 'unknown' }), 'STA001')
  })
})

describe('who may', () => {
  it('join, form, drop, lead, dissolve and forget: whoever coordinates this epoch', () => {
    const journal = active()
    const as = journal.get('c')?.fence.index ?? 0
    const all = (epoch: number): CoalitionChange[] => [
      { do: 'join', epoch, id: 'c', peers: ['ann'] },
      { do: 'form', epoch, id: 'c', as },
      { do: 'drop', epoch, id: 'c', as, peers: ['bob'] },
      { do: 'lead', epoch, id: 'c', as, leader: 'bob' },
      { do: 'dissolve', epoch, id: 'c' },
      { do: 'forget', epoch, ids: ['c'] },
    ]
    for (const change of all(1)) assert.equal(journal.one('eve', change), 'SEC002', change.do)
    for (const change of all(2)) assert.equal(journal.one(LEADER, change), 'STA002', change.do)
    journal.begin('other', 2)
    for (const change of all(1)) assert.equal(journal.one(LEADER, change), 'STA002', change.do)
    assert.equal(journal.get('c')?.fence.index, as)
  })

  it('dissolve: its owner, and its leader once it is active; no other member', () => {
    const journal = active()
    assert.equal(journal.one('bob', { do: 'dissolve', id: 'c' }), 'SEC002')
    assert.equal(journal.one('eve', { do: 'dissolve', id: 'c' }), 'SEC002')
    assert.equal(journal.one('eve', { do: 'leave', id: 'c' }), 'SEC002')
    assert.equal(journal.one('ann', { do: 'dissolve', id: 'c' }), null)
    journal.propose('owner', 'd', TRIO)
    journal.join('d', ['ann', 'bob'])
    assert.equal(journal.one('ann', { do: 'dissolve', id: 'd' }), 'SEC002', 'who is to lead it has no say yet')
    assert.equal(journal.one('owner', { do: 'dissolve', id: 'd' }), null)
  })
})

describe('an owner', () => {
  it('has its share of the coalitions, and another one has room beside it', () => {
    const journal = new CoalitionJournal()
    let taken = 0
    while (taken <= MAX_COALITIONS && typeof journal.propose('greedy', `g${taken}`, ['ann']) === 'object') taken += 1
    // Three times of what is free: n = 3 × (all - n), unless bytes end it before.
    assert.ok(taken > 100 && taken <= (MAX_COALITIONS * 3) / 4 + 1, `${taken}`)
    assert.equal(journal.propose('greedy', 'more', ['ann']), 'COM003 coalition-share')
    assert.equal(journal.usage('greedy'), taken)
    assert.deepEqual(journal.propose('other', 'o', ['ann']), { isKnown: false })
    journal.one('greedy', { do: 'dissolve', id: 'g0' })
    assert.equal(journal.propose('greedy', 'more', ['ann']), 'COM003 coalition-share', 'it is kept to be read')
    journal.one('greedy', { do: 'dissolve', id: 'g1' })
    journal.one('greedy', { do: 'dissolve', id: 'g2' })
    journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['g0', 'g1', 'g2'] })
    assert.deepEqual(journal.propose('greedy', 'more', ['ann']), { isKnown: false })
  })

  it('answers for at least what its coalitions take, at their largest, also where all of it is written as escapes', () => {
    const journal = new CoalitionJournal()
    for (const [i, letter] of ['a', 'ü', '漢', '\u0000', '"', '😀'].entries()) {
      const members = Array.from({ length: 64 }, (_, at) => `${at}${letter}`.padEnd(32, 'x'))
      assert.deepEqual(journal.propose('owner', `c${i}`, members, { goal: letter.repeat(1_024 / letter.length) }), {
        isKnown: false,
      })
      journal.join(`c${i}`, members)
      journal.form(`c${i}`)
      journal.one('owner', { do: 'dissolve', id: `c${i}`, reason: '\u0000'.repeat(256) })
      const { written, counted } = journal.bytes()
      assert.ok(written <= counted, `${written} of ${counted} with ${JSON.stringify(letter)}`)
    }
    assert.ok(journal.bytes().counted < MAX_COALITION_BYTES)
  })
})

describe('a change', () => {
  it('beyond a bound is refused by its schema: at the bound it is taken', () => {
    const members = (count: number): string[] => Array.from({ length: count }, (_, i) => `p${i}`)
    const proposal = (more: object) => ({
      ...{ do: 'propose', id: 'c' },
      coalition: { goal: 'g', leader: 'p0', members: members(2), minMembers: 1, ttlMs: 1, ...more },
    })
    const isTaken = (change: unknown): boolean => z.safeParse(CoalitionChangeSchema, change).success
    assert.ok(isTaken(proposal({ members: members(64), ttlMs: 86_400_000, goal: 'g'.repeat(1_024) })))
    for (const bad of [
      { members: members(65) },
      { members: [] },
      { ttlMs: 86_400_001 },
      { ttlMs: 0 },
      { goal: '' },
      { goal: 'g'.repeat(1_025) },
      { minMembers: 0 },
    ])
      assert.ok(!isTaken(proposal(bad)), JSON.stringify(bad).slice(0, 60))
    const ids = (count: number) => ({ do: 'forget', epoch: 1, ids: members(count) })
    assert.ok(isTaken(ids(256)))
    assert.ok(!isTaken(ids(257)))
    assert.ok(isTaken({ do: 'leave', id: 'c'.repeat(128) }))
    assert.ok(!isTaken({ do: 'leave', id: 'c'.repeat(129) }))
  })
})
