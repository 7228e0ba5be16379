/** What is decided about resources: who may, what fits, and what ends with whom. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ResourceChange } from '../../../protocols/resource/journal/resource-changes.ts'
import { asked, LEADER, ResourceJournal } from '../../support/resource-journal.ts'

const begin = (): ResourceJournal => {
  const journal = new ResourceJournal()
  journal.register('ann')
  journal.register('box', { cpu: 4_000, gpu: 1 })
  journal.register('bay', { cpu: 2_000 })
  return journal
}

describe('allocations', () => {
  it('are granted whole, at several nodes at once, and given back whole', () => {
    const journal = begin()
    assert.deepEqual(journal.allocate('ann', 'a', asked([{ cpu: 3_000, gpu: 1 }, { cpu: 2_000 }])), {
      status: 'waiting',
      isKnown: false,
    })
    assert.equal(journal.grant('a', ['box', 'bay']), null)
    assert.deepEqual(journal.node('box')?.used, { cpu: 3_000, gpu: 1 })
    assert.deepEqual(journal.node('bay')?.used, { cpu: 2_000 })
    journal.check()
    assert.equal(journal.one('ann', { do: 'release', id: 'a' }), null)
    assert.deepEqual(journal.node('box')?.used, {})
    assert.equal(journal.get('a'), undefined)
    journal.check()
  })

  it('that do not fit are refused whole: nothing of them is taken', () => {
    const journal = begin()
    journal.allocate('ann', 'a', asked([{ cpu: 3_000 }, { cpu: 2_001 }]))
    assert.equal(journal.grant('a', ['box', 'bay']), 'STA003 does-not-fit')
    assert.equal(journal.grant('a', ['box', 'box']), 'STA003 does-not-fit')
    assert.equal(journal.grant('a', ['box']), 'STA003 does-not-fit')
    assert.equal(journal.grant('a', ['box', 'nobody']), 'STA003 does-not-fit')
    assert.deepEqual(journal.node('box')?.used, {})
    journal.check()
  })

  it('of a name that every object has are of nothing there', () => {
    const journal = begin()
    journal.allocate('ann', 'a', asked([{ constructor: 1 }]))
    assert.equal(journal.grant('a', ['box']), 'STA003 does-not-fit')
  })

  it('of amounts beyond what adds up exactly do not wrap around', () => {
    const journal = begin()
    journal.register('vast', { bytes: Number.MAX_SAFE_INTEGER })
    journal.allocate('ann', 'a', asked([{ bytes: Number.MAX_SAFE_INTEGER }]))
    assert.equal(journal.grant('a', ['vast']), null)
    journal.allocate('ann', 'b', asked([{ bytes: Number.MAX_SAFE_INTEGER }, { bytes: 1 }]))
    assert.equal(journal.grant('b', ['vast', 'vast']), 'STA003 does-not-fit')
    journal.check()
  })

  it('say which node has to give them, and whether each part is at another one', () => {
    const journal = begin()
    journal.allocate('ann', 'a', { priority: 1, parts: [{ units: { cpu: 1 }, owner: 'bay' }] })
    assert.equal(journal.grant('a', ['box']), 'STA003 does-not-fit')
    assert.equal(journal.grant('a', ['bay']), null)
    journal.allocate('ann', 'b', asked([{ cpu: 1 }, { cpu: 1 }], { spread: true }))
    assert.equal(journal.grant('b', ['box', 'box']), 'STA003 does-not-fit')
    assert.equal(journal.grant('b', ['box', 'bay']), null)
    journal.check()
  })

  it('are asked for again without being two, and their id is nobody else’s', () => {
    const journal = begin()
    journal.register('eve')
    journal.allocate('ann', 'a', asked([{ cpu: 1 }]))
    journal.grant('a', ['box'])
    assert.deepEqual(journal.allocate('ann', 'a', asked([{ cpu: 1 }])), { status: 'allocated', isKnown: true })
    assert.equal(journal.allocate('ann', 'a', asked([{ cpu: 2 }])), 'STA003 exists')
    assert.equal(journal.allocate('eve', 'a', asked([{ cpu: 1 }])), 'STA003 exists')
    journal.check()
  })

  it('a holder has its share, and no more', () => {
    const journal = begin()
    const parts = Array.from({ length: 64 }, () => ({ cpu: 1 }))
    let taken = 0
    while (taken < 5_000 && typeof journal.allocate('ann', `a${taken}`, asked(parts)) === 'object') taken += 1
    assert.ok(taken > 100 && taken < 5_000, `${taken} large ones`)
    assert.equal(journal.allocate('ann', 'more', asked(parts)), 'COM003 resource-share')
    journal.register('eve')
    assert.deepEqual(journal.allocate('eve', 'eve', asked(parts)), { status: 'waiting', isKnown: false })
    for (let i = 0; i < 8; i += 1) assert.equal(journal.one('ann', { do: 'release', id: `a${i}` }), null)
    assert.equal(typeof journal.allocate('ann', 'more', asked(parts)), 'object', 'what it gives back it may have again')
  })
})

describe('who may', () => {
  it('grant, deny, expire, dismiss and forget: whoever coordinates this epoch', () => {
    const journal = begin()
    journal.allocate('ann', 'a', asked([{ cpu: 1 }]))
    const { registration = 0 } = journal.node('box') ?? {}
    const places = [{ owner: 'box', registration }]
    const all = (epoch: number): ResourceChange[] => [
      { do: 'grant', epoch, id: 'a', places },
      { do: 'deny', epoch, id: 'a', reason: 'no' },
      { do: 'expire', epoch, id: 'a', reason: 'no' },
      { do: 'dismiss', epoch, peer: 'box', registration },
      { do: 'forget', epoch, ids: ['a'] },
    ]
    for (const change of all(1)) assert.equal(journal.one('eve', change), 'SEC002', change.do)
    for (const change of all(2)) assert.equal(journal.one(LEADER, change), 'STA002', change.do)
    journal.begin('other', 2)
    for (const change of all(1)) assert.equal(journal.one(LEADER, change), 'STA002', change.do)
    assert.equal(journal.get('a')?.status, 'waiting')
    assert.equal(journal.node('box')?.registration, registration)
  })

  it('release: the holder; allocate, renew and withdraw: whoever is registered, in that life', () => {
    const journal = begin()
    journal.allocate('ann', 'a', asked([{ cpu: 1 }]))
    assert.equal(journal.one('eve', { do: 'release', id: 'a' }), 'SEC002')
    assert.equal(journal.one('eve', { do: 'release', id: 'unknown' }), null)
    assert.equal(journal.allocate('nobody', 'b', asked([{ cpu: 1 }])), 'STA002')
    for (const what of ['renew', 'withdraw'] as const) {
      assert.equal(journal.one('ann', { do: what, registration: 999 }), 'STA002')
      assert.equal(journal.one('eve', { do: what, registration: journal.node('ann')?.registration ?? 0 }), 'STA002')
    }
  })
})

describe('nodes', () => {
  it('keep their registration in one life; in another one all that they had ends first', () => {
    const journal = begin()
    const { registration } = journal.node('box') ?? {}
    assert.equal(journal.register('box', { cpu: 5_000 }), registration)
    assert.deepEqual(journal.node('box')?.capacity, { cpu: 5_000 })
    journal.allocate('ann', 'a', asked([{ cpu: 1 }]))
    journal.grant('a', ['box'])
    assert.equal(journal.register('box', { cpu: 4_000 }, 2), undefined)
    assert.equal(journal.node('box')?.isOver, true)
    journal.allocate('ann', 'b', asked([{ cpu: 1 }]))
    assert.equal(journal.grant('b', ['box']), 'STA003 does-not-fit')
    assert.equal(journal.one(LEADER, { do: 'expire', epoch: 1, id: 'a', reason: 'box is gone' }), null)
    assert.equal(journal.get('a')?.status, 'expired')
    assert.notEqual(journal.register('box', { cpu: 4_000 }, 2), registration)
    assert.equal(journal.one('box', { do: 'register', incarnation: 1, capacity: {} }), 'STA002')
    journal.check()
  })

  it('that are dismissed end what they hold and what they give, and go then', () => {
    const journal = begin()
    journal.allocate('ann', 'a', asked([{ cpu: 1 }]))
    journal.grant('a', ['box'])
    const dismiss = (peer: string): unknown => {
      const { registration = 0 } = journal.node(peer) ?? {}
      return journal.one(LEADER, { do: 'dismiss', epoch: 1, peer, registration })
    }
    assert.equal(
      journal.one(LEADER, { do: 'expire', epoch: 1, id: 'a', reason: '' }),
      'STA003 allocation-status',
      'all that it rests on is there',
    )
    assert.deepEqual(dismiss('ann'), { isGone: false })
    assert.equal(journal.allocate('ann', 'b', asked([{ cpu: 1 }])), 'STA002')
    assert.equal(journal.one('ann', { do: 'renew', registration: journal.node('ann')?.registration ?? 0 }), 'STA002')
    assert.equal(journal.one(LEADER, { do: 'expire', epoch: 1, id: 'a', reason: 'ann is gone' }), null)
    assert.deepEqual(journal.node('box')?.used, {})
    assert.deepEqual(dismiss('ann'), { isGone: true })
    assert.equal(journal.node('ann'), undefined)
    assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['a', 'unknown'] }), null)
    assert.equal(journal.get('a'), undefined)
    journal.check()
  })

  it('do not have less than what they gave; one that drains gives nothing more', () => {
    const journal = begin()
    journal.allocate('ann', 'a', asked([{ cpu: 3_000 }]))
    journal.grant('a', ['box'])
    assert.equal(journal.one('box', { do: 'register', incarnation: 1, capacity: { cpu: 2_999 } }), 'STA003 in-use')
    const drains = { do: 'register', incarnation: 1, capacity: { cpu: 4_000 }, draining: true } as const
    assert.equal(typeof journal.one('box', drains), 'object')
    journal.allocate('ann', 'b', asked([{ cpu: 1 }]))
    assert.equal(journal.grant('b', ['box']), 'STA003 does-not-fit')
    journal.check()
  })
})

describe('for one of a higher priority', () => {
  const full = (): ResourceJournal => {
    const journal = begin()
    journal.allocate('ann', 'low', asked([{ cpu: 3_000 }, { cpu: 2_000 }], { priority: 0, preemptible: true }))
    journal.grant('low', ['box', 'bay'])
    journal.allocate('ann', 'small', asked([{ cpu: 1_000 }], { priority: 0, preemptible: true }))
    journal.grant('small', ['box'])
    return journal
  }

  it('another one is ended whole, in the same decision, where it is in the way', () => {
    const journal = full()
    journal.allocate('ann', 'high', asked([{ cpu: 3_000 }], { priority: 3, preempts: true }))
    assert.equal(journal.grant('high', ['box']), 'STA003 does-not-fit')
    assert.equal(journal.grant('high', ['box'], ['small']), 'STA003 does-not-fit', 'it is too small')
    assert.equal(journal.grant('high', ['box'], ['low', 'small']), 'STA003 does-not-fit', 'one of them for nothing')
    assert.equal(journal.grant('high', ['box'], ['low', 'low']), 'STA003 does-not-fit', 'twice')
    assert.equal(journal.grant('high', ['box'], ['low']), null)
    assert.equal(journal.get('low')?.status, 'preempted')
    assert.deepEqual(journal.node('bay')?.used, {})
    journal.check()
  })

  it('nobody is ended who may not be, or by whom may not', () => {
    const journal = full()
    journal.allocate('ann', 'equal', asked([{ cpu: 3_000 }], { priority: 0, preempts: true }))
    assert.equal(journal.grant('equal', ['box'], ['low']), 'STA003 does-not-fit')
    journal.allocate('ann', 'polite', asked([{ cpu: 3_000 }], { priority: 3 }))
    assert.equal(journal.grant('polite', ['box'], ['low']), 'STA003 does-not-fit')
    journal.one('ann', { do: 'release', id: 'low' })
    journal.allocate('ann', 'firm', asked([{ cpu: 3_000 }], { priority: 0 }))
    journal.grant('firm', ['box'])
    journal.allocate('ann', 'high', asked([{ cpu: 3_000 }], { priority: 3, preempts: true }))
    assert.equal(journal.grant('high', ['box'], ['firm']), 'STA003 does-not-fit')
    assert.equal(journal.grant('high', ['box'], ['high']), 'STA003 allocation-status')
    journal.check()
  })

  it('one that was granted again since is another one', () => {
    const journal = full()
    journal.allocate('ann', 'high', asked([{ cpu: 3_000 }], { priority: 3, preempts: true }))
    const { fence = { term: 0, index: 0 } } = journal.get('low') ?? {}
    const places = [{ owner: 'box', registration: journal.node('box')?.registration ?? 0 }]
    const victims = [{ id: 'low', fence: { ...fence, index: fence.index - 1 } }]
    assert.equal(
      journal.one(LEADER, { do: 'grant', epoch: 1, id: 'high', places, victims }),
      'STA003 allocation-status',
    )
    assert.equal(journal.get('low')?.status, 'allocated')
  })
})

describe('what a task requires', () => {
  it('is granted at once at the node that is to work on it, or refused', () => {
    const journal = begin()
    assert.equal(journal.assign('x', 't', 'box', { cpu: 3_000 }), null)
    const { status, holder, task, isAssigned, places } = journal.get('x') ?? {}
    assert.deepEqual(
      { status, holder, task, isAssigned },
      { status: 'allocated', holder: 'box', task: 't', isAssigned: true },
    )
    assert.equal(places?.[0]?.owner, 'box')
    journal.check()
    assert.equal(journal.assign('y', 't2', 'box', { cpu: 1_001 }), 'STA003 does-not-fit')
    assert.equal(journal.assign('x', 't2', 'box', { cpu: 1 }), 'STA003 exists')
    assert.equal(journal.assign('y', 't2', 'nobody', { cpu: 1 }), 'STA002')
    assert.equal(journal.one(LEADER, { do: 'unassign', epoch: 1, id: 'x' }), null)
    assert.equal(journal.one(LEADER, { do: 'unassign', epoch: 1, id: 'x' }), null, 'again')
    assert.deepEqual(journal.node('box')?.used, {})
    journal.check()
  })

  it('is given by whoever coordinates alone, and what a node asked for is not taken from it so', () => {
    const journal = begin()
    assert.equal(journal.assign('x', 't', 'box', { cpu: 1 }, 'eve'), 'SEC002')
    journal.assign('x', 't', 'box', { cpu: 1 })
    assert.equal(journal.one('eve', { do: 'unassign', epoch: 1, id: 'x' }), 'SEC002')
    journal.allocate('ann', 'a', asked([{ cpu: 1 }]))
    journal.grant('a', ['box'])
    assert.equal(journal.one(LEADER, { do: 'unassign', epoch: 1, id: 'a' }), 'SEC002')
    assert.equal(journal.one('ann', { do: 'release', id: 'x' }), 'SEC002')
    journal.check()
  })

  it('ends with the life of its node, and not where that drains', () => {
    const journal = begin()
    journal.assign('x', 't', 'box', { cpu: 1 })
    journal.one('box', { do: 'register', incarnation: 1, capacity: { cpu: 4_000 }, draining: true })
    assert.equal(journal.assign('y', 't2', 'box', { cpu: 1 }), 'STA003 does-not-fit')
    assert.equal(journal.get('x')?.status, 'allocated')
    assert.equal(journal.register('box', { cpu: 4_000 }, 2), undefined)
    assert.equal(journal.one(LEADER, { do: 'expire', epoch: 1, id: 'x', reason: 'owner-lost: box' }), null)
    assert.ok((journal.register('box', { cpu: 4_000 }, 2) ?? 0) > 0)
    journal.check()
  })
})
