import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, ratesOf, topText } from '../../../../../../node/cli/commands/inspect/top-table.ts'
import type { TopView } from '../../../../../../node/control/control-schemas.ts'

const WIDE = { columns: 200, rows: 100 }

const agent = (id: string, name: string): TopView['agents'][number] => ({
  id,
  name,
  state: 'alive',
  protocols: [{ name: 'toil', version: '1.2.0', methods: [] }],
  labels: {},
  addresses: [],
  load: 3,
  queueLength: 1,
})

const view = (more: Partial<TopView> = {}): TopView => ({
  at: Date.UTC(2026, 0, 31, 12),
  monotonicMs: 1_000,
  self: { id: 'A', name: 'alpha', mesh: 'm', incarnation: 1, version: '1', addresses: [], startedAt: 1 },
  readiness: { ready: true, reasons: [] },
  peers: [],
  agents: [agent('A', 'alpha')],
  topics: [{ name: 'news', local: 1, peers: ['B'], published: 10, received: 4 }],
  coordinator: { id: 'A', name: 'alpha', epoch: 4, quorum: true, voters: 3, seat: 'voter' },
  frames: { in: 100, out: 50, bytesIn: 10_000, bytesOut: 0 },
  requests: { active: 2, queued: 0 },
  delivery: { outbox: 1, held: 0, inbox: 0, deadLetters: 5 },
  ...more,
})

test('rates are what was counted between two looks, over the time between them', () => {
  const now = view({
    monotonicMs: 3_000,
    frames: { in: 300, out: 50, bytesIn: 14_096, bytesOut: 0 },
    topics: [
      { name: 'news', local: 1, peers: [], published: 30, received: 5 },
      { name: 'new', local: 0, peers: [], published: 7, received: 0 },
    ],
  })
  const rates = ratesOf(view(), now)
  assert.deepEqual([rates?.framesIn, rates?.framesOut, rates?.bytesIn], [100, 0, 2_048])
  assert.deepEqual(rates?.topics.news, { published: 10, received: 0.5 })
  assert.deepEqual(rates?.topics.new, { published: 0, received: 0 }, 'when it began is not known')
})

test('a node that was started anew has no rates yet', () => {
  const before = view()
  assert.equal(ratesOf(before, view({ monotonicMs: 9_000, self: { ...before.self, startedAt: 2 } })), undefined)
  assert.equal(ratesOf(before, before), undefined)
})

test('the table has agents with their peers, marks the coordinator, and says what is not well', () => {
  const peer: TopView['peers'][number] = {
    id: 'B',
    name: 'beta',
    direction: 'inbound',
    address: '/ip4/127.0.0.1/tcp/1/p2p/B',
    connectedAt: 0,
    rttMs: 1.26,
    admitted: true,
    streams: 1,
    inFlight: 7,
    bytesQueued: 0,
  }
  const stranger = { ...peer, id: '12345678STRANGER', name: '', admitted: false }
  const shown = topText(
    view({ agents: [agent('A', 'alpha'), agent('B', 'beta')], peers: [peer, stranger] }),
    undefined,
    WIDE,
  )
  assert.match(
    shown,
    /^alpha in the mesh m, ready +12:00:00Z\nagents 2 +peers 1 +coordinator alpha, epoch 4, voters 3\n/,
  )
  assert.match(shown, /^alpha\* +alive +3 +1 +this node +toil@1$/m)
  assert.match(shown, /^beta +alive +3 +1 +1\.3 ms +7 +\/ip4\/127\.0\.0\.1\/tcp\/1 +toil@1$/m)
  assert.match(shown, /^STRANGER +not admitted/m)
  assert.match(shown, /^news +- +- +10 +4 +1 +1$/m)
  const unwell = topText(
    view({
      readiness: { ready: false, reasons: ['no member of the mesh is connected'] },
      coordinator: { epoch: 0, quorum: false, voters: 0, seat: 'none' },
    }),
    undefined,
    WIDE,
  )
  assert.match(unwell, /not ready: no member of the mesh is connected/)
  assert.match(unwell, /coordinator none, epoch 0, voters 0, no quorum/)
})

test('it never has more lines or columns than the terminal, and what a peer says cannot drive it', () => {
  const agents = Array.from({ length: 50 }, (_, n) => agent(`${n}`, `a\u001b[31m${n}`))
  const topics = Array.from({ length: 50 }, (_, n) => ({
    name: `t${n}`,
    local: 0,
    peers: [],
    published: 0,
    received: 0,
  }))
  for (const rows of [12, 24, 60]) {
    const lines = topText(view({ agents, topics }), undefined, { columns: 40, rows }).split('\n')
    assert.ok(lines.length <= rows, `${lines.length} lines in ${rows}`)
    assert.ok(lines.every((line) => line.length <= 40))
    assert.ok(lines.every((line) => !line.includes('\u001b')))
    assert.equal(lines.filter((line) => /^… \d+ more$/.test(line)).length, 2)
  }
})

test('bytes have the unit that suits them', () => {
  assert.deepEqual([0, 1_023, 1_024, 1_536, 5 * 1024 ** 3].map(bytesText), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '5.0 GiB',
  ])
})
