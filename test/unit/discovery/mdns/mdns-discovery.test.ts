import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMdns, type Mdns } from '../../../../discovery/mdns/mdns-discovery.ts'
import { MAX_PACKET_BYTES, readPacket, writeAnswer, writeQuestion } from '../../../../discovery/mdns/mdns-packet.ts'
import { createRandom, createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'

const SERVICE = '_p0123456789abcd._udp.local'
const MARK = 7
/** Stands for the encrypt: whoever knows the mark is a member. */
const encrypt = (bytes: Uint8Array): Uint8Array => Uint8Array.from([MARK, ...bytes])
const open = (bytes: Uint8Array): Uint8Array | undefined => (bytes[0] === MARK ? bytes.subarray(1) : undefined)
const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const told = (peer: string, addresses = ['/ip4/10.0.0.1/tcp/1']): Uint8Array =>
  writeAnswer(SERVICE, 'x', 120, encrypt(text({ p: peer, a: addresses })))

const network = () => {
  const time = createVirtualTime()
  const chance = createRandom(1)
  const all: Mdns[] = []
  const packets: { atMs: number; kind: string }[] = []
  const join = (self: string, { service = SERVICE, addresses = [`/ip4/10.0.0.1/tcp/${all.length + 1}`] } = {}) => {
    const found = new Map<string, string[]>()
    const counts: Record<string, number> = {}
    const place = {
      name: 'eth0/4',
      addresses: () => addresses,
      send(packet: Uint8Array): void {
        assert.ok(packet.length <= MAX_PACKET_BYTES)
        packets.push({ atMs: time.now(), kind: readPacket(packet, service)?.kind ?? 'nothing' })
        // As multicast does, also to who sent it.
        time.after(1, () => {
          for (const one of all) one.receive(packet)
        })
      },
    }
    const mdns = createMdns({
      self,
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      chance,
      service,
      instance: self,
      encrypt,
      decrypt: open,
      interfaces: () => [place],
      count: (what) => {
        counts[what] = (counts[what] ?? 0) + 1
      },
      found: (peer, at) => void found.set(peer, at),
    })
    all.push(mdns)
    return { mdns, found, counts }
  }
  return { time, join, all, packets }
}

test('nodes of a mesh find each other within a quarter of a second, whoever was first', async () => {
  const { time, join } = network()
  const one = join('one')
  await time.run(5_000)
  const two = join('two')
  await time.run(250)
  assert.deepEqual([...two.found], [['one', ['/ip4/10.0.0.1/tcp/1']]])
  assert.deepEqual([...one.found], [['two', ['/ip4/10.0.0.1/tcp/2']]])
})

test('meshes on one network do not hear each other, and a node never finds itself', async () => {
  const { time, join } = network()
  const one = join('one')
  const other = join('other', { service: '_pffffffffffffff._udp.local' })
  await time.run(10_000)
  assert.equal(one.found.size + other.found.size, 0)
  assert.ok(one.mdns.isSilent())
})

test('questions become rare, and start anew where there is another network', async () => {
  const { time, join, packets } = network()
  const { mdns, counts } = join('one')
  await time.run(600_000)
  const asked = packets.filter(({ kind }) => kind === 'question').map(({ atMs }) => atMs)
  assert.ok(asked.length > 12 && asked.length < 20, `${asked.length} questions in ten minutes`)
  assert.ok(asked.slice(0, 3).at(-1) ?? 0 < 4_000)
  assert.equal(counts.asked, asked.length)
  mdns.restart()
  await time.run(1_500)
  assert.equal(counts.asked, asked.length + 2)
})

test('it is silent after some questions that nobody answered, and no more once somebody did', async () => {
  const { time, join } = network()
  const { mdns } = join('one')
  await time.run(2_500)
  assert.ok(!mdns.isSilent())
  await time.run(7_000)
  assert.ok(mdns.isSilent())
  mdns.receive(told('two'))
  assert.ok(!mdns.isSilent())
})

test('a flood of questions gets one answer a second', async () => {
  const { time, join } = network()
  const { mdns, counts } = join('one')
  for (let ms = 0; ms < 10_000; ms += 10) {
    mdns.receive(writeQuestion(SERVICE))
    await time.run(10)
  }
  assert.ok((counts.answered ?? 0) <= 10, `${counts.answered} answers in ten seconds`)
})

test('in a large mesh a few answer a newcomer, not all', async () => {
  const { time, join, packets } = network()
  for (let i = 0; i < 100; i += 1) join(`node${i}`)
  await time.run(120_000)
  const before = packets.filter(({ kind }) => kind === 'answer').length
  const newcomer = join('newcomer')
  await time.run(200)
  const answers = packets.filter(({ kind }) => kind === 'answer').length - before
  assert.ok(newcomer.found.size >= 8, `${newcomer.found.size} found`)
  assert.ok(answers < 40, `${answers} answers`)
})

test('what no member sealed and what is no message is dropped and counted', () => {
  const { join } = network()
  const { mdns, found, counts } = join('one')
  mdns.receive(writeAnswer(SERVICE, 'x', 120, text({ p: 'two', a: ['/ip4/10.0.0.1/tcp/1'] })))
  for (const bad of [
    {},
    { p: 'two', a: [] },
    { p: 'no/peer', a: ['x'] },
    { p: 'two', a: new Array(9).fill('x') },
    null,
  ])
    mdns.receive(writeAnswer(SERVICE, 'x', 120, encrypt(text(bad))))
  mdns.receive(writeAnswer(SERVICE, 'x', 120, encrypt(Uint8Array.of(1, 2, 3))))
  assert.equal(found.size, 0)
  assert.equal(counts.dropped, 7)
})

test('of a flood of answers a hundred a second are opened', async () => {
  const { time, join } = network()
  const { mdns, found, counts } = join('one')
  for (let i = 0; i < 1_000; i += 1) mdns.receive(told(`peer${i}`))
  assert.equal(found.size, 100)
  assert.equal(counts.dropped, 900)
  await time.run(1_000)
  mdns.receive(told('late'))
  assert.ok(found.has('late'))
})

test('of many or long addresses as many are told as one packet holds', async () => {
  const { time, join } = network()
  const addresses = Array.from({ length: 16 }, (_, i) => `/dns4/${'a'.repeat(200)}/tcp/${i + 1}`)
  join('wordy', { addresses })
  const other = join('other', { addresses: [] })
  await time.run(300)
  assert.deepEqual(other.found.get('wordy'), addresses.slice(0, 5))
})

test('after it is stopped it says and hears nothing', async () => {
  const { time, join, packets } = network()
  const { mdns, found } = join('one')
  mdns.stop()
  const before = packets.length
  mdns.restart()
  mdns.receive(told('two'))
  await time.run(120_000)
  assert.equal(packets.length, before)
  assert.equal(found.size, 0)
})
