/** How last numbers of publishers are passed on: how often, to whom, and what is bounded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom, createVirtualTime, type VirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { WireHead } from '../../../../protocols/events/protocol.ts'
import { createHeadGossip, HEAD_GOSSIP_MS, type HeadGossip } from '../../../../protocols/events/repair/head-gossip.ts'

const HOP_MS = 2

interface Sent {
  from: string
  to: string
  heads: readonly WireHead[]
}

const headOf = (publisher: string, last = 1, word = 'tasks'): WireHead => ({
  publisher,
  word,
  epoch: 1,
  last,
  signature: new Uint8Array(64),
})

/** One node's passing with these neighbours; what it sends is kept. */
const passingTo = (time: VirtualTime, neighbours: readonly string[], chance = () => 0.5) => {
  const sent: Sent[] = []
  const asked: string[] = []
  const passing = createHeadGossip(
    { timers: time, random: () => Uint8Array.of(chance() * 256) },
    {
      subscribers(word) {
        asked.push(word)
        return neighbours
      },
      send: (to, heads) => void sent.push({ from: 'self', to, heads }),
    },
  )
  return { passing, sent, asked }
}

/** A whole overlay in which everyone passes on; a publisher tells its neighbours itself. */
const createOverlay = (count: number, degree: number, seed: number) => {
  const time = createVirtualTime()
  const random = createRandom(seed)
  const edges = new Map<string, Set<string>>()
  const ids = Array.from({ length: count }, (_, index) => `n${index}`)
  const join = (a: string, b: string): void => {
    if (a === b) return
    edges.set(a, (edges.get(a) ?? new Set()).add(b))
    edges.set(b, (edges.get(b) ?? new Set()).add(a))
  }
  for (const [index, id] of ids.entries()) {
    join(id, ids[(index + 1) % count] ?? id)
    for (let i = 1; i < degree / 2; i += 1) join(id, ids[Math.floor(random() * count)] ?? id)
  }
  const known = new Map(ids.map((id) => [id, new Map<string, number>()]))
  const heardAt: number[] = []
  let messages = 0
  const nodes = new Map<string, HeadGossip>()
  const arrive = (from: string, to: string, heads: readonly WireHead[]): void => {
    messages += 1
    time.after(HOP_MS, () => {
      for (const head of heads) {
        const before = known.get(to)?.get(head.publisher) ?? 0
        if (head.publisher === to) continue
        if (before >= head.last) nodes.get(to)?.markKnown(head, from)
        else {
          known.get(to)?.set(head.publisher, head.last)
          heardAt.push(time.now())
          nodes.get(to)?.add(head, from)
        }
      }
    })
  }
  for (const id of ids) {
    const send = (to: string, heads: readonly WireHead[]): void => arrive(id, to, heads)
    const port = { timers: time, random: () => Uint8Array.of(random() * 256) }
    nodes.set(id, createHeadGossip(port, { subscribers: () => [...(edges.get(id) ?? [])], send }))
  }
  return {
    time,
    ids,
    publish(id: string, last = 1) {
      for (const to of edges.get(id) ?? []) arrive(id, to, [headOf(id, last)])
    },
    edgeCount: [...edges.values()].reduce((sum, { size }) => sum + size, 0) / 2,
    messages: () => messages,
    heardBy: (publisher: string) => [...known.values()].filter((one) => one.has(publisher)).length,
    lastHeardAt: () => Math.max(...heardAt),
  }
}

test('a head reaches everyone in an overlay, and crosses each edge about once', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const overlay = createOverlay(60, 8, seed)
    overlay.publish('n0')
    await overlay.time.run(6 * HEAD_GOSSIP_MS)
    assert.equal(overlay.heardBy('n0'), 59, `seed ${seed}`)
    assert.ok(overlay.messages() < 1.25 * overlay.edgeCount, `${overlay.messages()} over ${overlay.edgeCount} edges`)
    assert.ok(overlay.lastHeardAt() <= 5 * HEAD_GOSSIP_MS, `${overlay.lastHeardAt()} ms`)
  }
})

test('heads of many publishers share their messages', async () => {
  const overlay = createOverlay(60, 8, 7)
  for (const id of overlay.ids) overlay.publish(id)
  await overlay.time.run(6 * HEAD_GOSSIP_MS)
  for (const id of overlay.ids) assert.equal(overlay.heardBy(id), 59)
  const first = 2 * overlay.edgeCount
  assert.ok(overlay.messages() - first < 10 * overlay.edgeCount, `${overlay.messages()}, not sixty times as many`)
})

test('who told it, who had it and who published it are not told', async () => {
  const time = createVirtualTime()
  const { passing, sent, asked } = passingTo(time, ['teller', 'had', 'older', 'publisher', 'other'])
  passing.add(headOf('publisher', 5), 'teller')
  passing.markKnown(headOf('publisher', 5), 'had')
  passing.markKnown(headOf('publisher', 4), 'older')
  passing.add(headOf('second', 1), 'other')
  await time.run(HEAD_GOSSIP_MS)
  const told = sent.map(({ to, heads }) => [to, heads.map(({ publisher }) => publisher).join()])
  assert.deepEqual(
    new Map(told as [string, string][]),
    new Map([
      ['older', 'publisher,second'],
      ['other', 'publisher'],
      ['teller', 'second'],
      ['had', 'second'],
      ['publisher', 'second'],
    ]),
  )
  assert.deepEqual(asked, ['tasks'], 'who hears a word is asked once in a round')
  await time.run(10 * HEAD_GOSSIP_MS)
  assert.equal(sent.length, 5, 'it is told once')
})

test('the newest of a series is told, to those who told an older one too', async () => {
  const time = createVirtualTime()
  const { passing, sent } = passingTo(time, ['a', 'b'])
  passing.add(headOf('publisher', 1), 'a')
  passing.add(headOf('publisher', 2), 'b')
  await time.run(HEAD_GOSSIP_MS)
  assert.deepEqual(
    sent.map(({ to, heads }) => [to, heads.map(({ last }) => last)]),
    [['a', [2]]],
  )
})

test('a round comes in the second half of the interval', async () => {
  for (const [chance, atMs] of [
    [0, HEAD_GOSSIP_MS / 2],
    [0.999, HEAD_GOSSIP_MS * 0.998],
  ] as const) {
    const time = createVirtualTime()
    const { passing, sent } = passingTo(time, ['a'], () => chance)
    passing.add(headOf('publisher'), 'teller')
    await time.run(atMs - 1)
    assert.equal(sent.length, 0)
    await time.run(2)
    assert.equal(sent.length, 1)
  }
})

test('when too many wait they go at once, and none is lost', async () => {
  const time = createVirtualTime()
  const { passing, sent } = passingTo(time, ['a'])
  for (let i = 0; i < 1025; i += 1) passing.add(headOf(`publisher-${i}`), 'teller')
  assert.equal(sent.length, 1)
  await time.run(HEAD_GOSSIP_MS)
  assert.equal(sent.flatMap(({ heads }) => heads).length, 1025)
})

test('nothing is told after stop', async () => {
  const time = createVirtualTime()
  const { passing, sent } = passingTo(time, ['a'])
  passing.add(headOf('publisher'), 'teller')
  passing.stop()
  await time.run(10 * HEAD_GOSSIP_MS)
  assert.deepEqual(sent, [])
})
