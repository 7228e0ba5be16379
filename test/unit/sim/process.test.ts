/** Simulated processes: they stand still, their disks take time, and what they send may be lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createFaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { defineProtocol } from '../../../protocols/define.ts'
import { createProcess, type Wires } from '../../sim/port/process.ts'

const chatter = defineProtocol({
  name: 'chatter',
  version: '1.0.0',
  methods: {
    say: { request: z.string(), oneWay: true },
    count: { request: z.int(), stream: z.int() },
  },
})

const setUp = () => {
  const network = createPortNetwork()
  const wires: Wires = {
    dropRate: 0,
    doubleRate: 0,
    lateRate: 0,
    lateMs: 0,
    breakRate: 0,
    cuts: new Set(),
    counts: { lost: 0, doubled: 0 },
  }
  const said: unknown[] = []
  const disk = createFaultyDisk()
  const start = (name: string) => {
    const node = network.start(name)
    const process = createProcess(node.port, disk.mount(), network.time, network.random, wires, (input) =>
      said.push(input),
    )
    return { node, process }
  }
  const [a, b] = [start('a'), start('b')]
  network.connect(a.node, b.node)
  return { ...network, wires, said, disk, a, b }
}

test('a process that stands still neither hears nor ticks, and does both once it goes on; ticks that it missed come once', async () => {
  const { a, b, time } = setUp()
  const heard: [number, string][] = []
  let ticks = 0
  await b.process.port.serve(chatter, {
    say: async (text: string) => void heard.push([time.now(), text]),
    async *count() {},
  })
  b.process.port.timers.every(50, () => {
    ticks += 1
  })
  b.process.frozenUntil = 1_010
  await a.process.port.to(b.node.id, chatter).say('hello')
  await time.run(1_009)
  assert.deepEqual([heard, ticks], [[], 0])
  await time.run(2)
  assert.deepEqual([heard.map(([, text]) => text), ticks], [['hello'], 1])
  await time.run(200)
  assert.ok(ticks === 5, `${ticks}`)
})

test('what is cut off in one direction is lost there, and counted; the other direction works', async () => {
  const { a, b, time, wires, said } = setUp()
  const heard: string[] = []
  for (const { process } of [a, b])
    await process.port.serve(chatter, {
      say: async (text: string) => void heard.push(text),
      async *count() {
        yield 1
      },
    })
  wires.cuts.add(`${a.node.id}>${b.node.id}`)
  await a.process.port.to(b.node.id, chatter).say('lost')
  await b.process.port.to(a.node.id, chatter).say('heard')
  await time.run(100)
  assert.deepEqual([heard, wires.counts.lost, said.length], [['heard'], 1, 2])
  const items = async (): Promise<void> => {
    for await (const _ of a.process.port.to(b.node.id, chatter).count(3)) assert.fail('an item')
  }
  await assert.rejects(items, /nothing comes/)
})

test('a doubled message arrives twice', async () => {
  const { a, b, time, wires } = setUp()
  let heard = 0
  await b.process.port.serve(chatter, {
    say: async () => {
      heard += 1
    },
    async *count() {},
  })
  wires.doubleRate = 1
  await a.process.port.to(b.node.id, chatter).say('twice')
  await time.run(100)
  assert.deepEqual([heard, wires.counts.doubled], [2, 1])
})

test('a write is on the disk only after its sync has taken its time', async () => {
  const { a, time, disk, random } = setUp()
  a.process.syncMs = [5, 5]
  const writing = (async () => {
    const file = await a.process.disk.create('f')
    await file.write(new Uint8Array(8), 0)
    await file.sync()
    await a.process.disk.syncNames()
  })()
  await time.settled(writing, 100)
  assert.ok(time.now() >= 15, `${time.now()} ms`)
  const torn = (async () => {
    const file = await a.process.disk.open('f')
    await file.write(new Uint8Array(8).fill(1), 0)
    await file.sync()
  })()
  const outcome = assert.rejects(torn, /EBADF/)
  await time.run(2)
  disk.crash(random)
  await time.run(10)
  await outcome
})
