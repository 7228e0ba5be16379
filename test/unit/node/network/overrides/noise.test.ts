import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterEach, describe, it } from 'node:test'
import type { MessageStream } from '@libp2p/interface'
import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { FLUSH_BYTES, NOISE_REVIEWED } from '../../../../../node/network/overrides/noise.ts'
import { noiseRecordReader } from '../../../../../node/network/overrides/noise-records.ts'
import { collect, countSends, type Kind, securedPair, stopAll, within } from './pair.ts'

afterEach(stopAll)

const prefixed = (record: Uint8Array): Uint8Array =>
  Uint8Array.from([record.byteLength >> 8, record.byteLength & 0xff, ...record])

describe('the record reader', () => {
  it('gives the same records however the bytes are cut into reads', () => {
    const records = fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 8 })
    fc.assert(
      fc.property(records, fc.array(fc.nat({ max: 700 }), { maxLength: 40 }), fc.boolean(), (sent, cuts, asList) => {
        const wire = Buffer.concat(sent.map(prefixed))
        const cut = noiseRecordReader()
        const received: (Uint8Array | Uint8ArrayList)[] = []
        let at = 0
        for (const length of [...cuts, wire.byteLength]) {
          const read = Uint8Array.from(wire.subarray(at, at + length))
          at += length
          const half = read.byteLength >> 1
          received.push(...cut(asList ? new Uint8ArrayList(read.subarray(0, half), read.subarray(half)) : read))
        }
        assert.deepEqual(
          received.map((record) => Buffer.from(record.subarray())),
          sent.filter((record) => record.byteLength > 0).map((record) => Buffer.from(record)),
        )
      }),
    )
  })

  it('takes the longest record, 65,535 bytes, in reads of one byte and in one read', () => {
    const record = new Uint8Array(randomBytes(65_535))
    const wire = prefixed(record)
    const slow = noiseRecordReader()
    const received = Array.from(wire, (_, at) => slow(wire.subarray(at, at + 1))).flat()
    assert.equal(received.length, 1)
    assert.ok(Buffer.from(record).equals(received[0]?.subarray() ?? new Uint8Array()))
    assert.deepEqual(noiseRecordReader()(wire), [record])
  })

  it('does not copy a record that lies inside one read', () => {
    const wire = prefixed(randomBytes(100))
    const [record] = noiseRecordReader()(wire)
    assert.ok(record instanceof Uint8Array)
    assert.equal(record.buffer, wire.buffer)
  })
})

describe('tuned Noise', () => {
  it('overrides the release of upstream that was reviewed', () => {
    const file = new URL('../../package.json', import.meta.resolve('@chainsafe/libp2p-noise'))
    const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
    assert.equal(version, NOISE_REVIEWED, 'read the new sources, then change NOISE_REVIEWED')
  })

  const pairs: [Kind, Kind][] = [
    ['tuned', 'tuned'],
    ['tuned', 'stock'],
    ['stock', 'tuned'],
  ]
  for (const [client, server] of pairs) {
    it(`carries bodies of any size both ways, ${client} to ${server}`, async () => {
      const ends = await securedPair(client, server)
      const atServer = collect(ends.server)
      const atClient = collect(ends.client)
      // Round the limits of a record, of a copy and of a flush, and a body of 3 MiB.
      const sizes = [1, 100, 65_518, 65_519, 65_520, FLUSH_BYTES - 1, FLUSH_BYTES, FLUSH_BYTES + 1, 3 << 20]
      const bodies = sizes.map((size) => randomBytes(size))
      const all = Buffer.concat(bodies)
      for (const body of bodies) {
        ends.client.send(new Uint8Array(body))
        ends.server.send(new Uint8Array(body))
      }
      assert.ok((await atServer.until(all.byteLength)).equals(all))
      assert.ok((await atClient.until(all.byteLength)).equals(all))
    })
  }

  it('writes what was sent during one turn once, answers that finished in microtasks included', async () => {
    const ends = await securedPair('tuned', 'stock')
    const atServer = collect(ends.server)
    const seen = countSends(ends.rawClient)
    ends.client.send(Buffer.from('a'))
    queueMicrotask(() => ends.client.send(Buffer.from('b')))
    await Promise.resolve().then(() => Promise.resolve())
    ends.client.send(Buffer.from('c'))
    assert.equal(seen.sends.length, 0)
    assert.equal((await atServer.until(3)).toString(), 'abc')
    assert.equal(seen.sends.length, 1)
    assert.ok(seen.sends[0] instanceof Uint8Array, 'one run of bytes is one socket write')
  })

  it('writes at once what reached the flush limit, and not one byte below it', async () => {
    const ends = await securedPair('tuned', 'tuned')
    const atServer = collect(ends.server)
    const seen = countSends(ends.rawClient)
    ends.client.send(new Uint8Array(FLUSH_BYTES - 1))
    assert.equal(seen.sends.length, 0)
    ends.client.send(new Uint8Array(1))
    assert.equal(seen.sends.length, 1)
    await atServer.until(FLUSH_BYTES)
  })

  it('loses nothing when close follows send, on the secured stream or on the connection below', async () => {
    for (const which of ['client', 'rawClient'] as const) {
      const ends = await securedPair('tuned', 'stock')
      const atServer = collect(ends.server)
      const body = randomBytes(100_000)
      ends.client.send(new Uint8Array(body))
      await within('close', ends[which].close())
      assert.ok((await atServer.until(body.byteLength)).equals(body))
    }
  })

  it('writes what was sent before an abort, sends nothing after it and tells both ends', async () => {
    const ends = await securedPair('tuned', 'tuned')
    const seen = countSends(ends.rawClient)
    const closed = Promise.all([once(ends.client, 'close'), once(ends.server, 'close')])
    ends.client.send(Buffer.from('before'))
    ends.client.abort(new Error('enough'))
    assert.equal(seen.sends.length, 1)
    assert.throws(() => ends.client.send(Buffer.from('after')), { name: 'StreamStateError' })
    await within('closing', closed)
    assert.equal(ends.client.status, 'aborted')
    assert.equal(seen.sends.length, 1)
  })

  it('tells the sender to wait when the peer does not read, holds little, and goes on when it reads', async () => {
    const ends = await securedPair('tuned', 'stock')
    ends.rawServer.pause()
    const chunk = randomBytes(32 * 1024)
    let sent = 0
    const fill = async (): Promise<void> => {
      while (ends.client.send(new Uint8Array(chunk))) {
        sent += chunk.byteLength
        // One turn: below the flush limit a full connection is noticed by the next send.
        await new Promise(setImmediate)
      }
      sent += chunk.byteLength
    }
    await within('filling the connection', fill())
    const held = ends.client.writeBufferLength + ends.rawClient.writeBufferLength
    assert.ok(held <= FLUSH_BYTES + 2 * chunk.byteLength, `${held} bytes are held`)
    const drained = once(ends.client, 'drain')
    const atServer = collect(ends.server)
    ends.rawServer.resume()
    await within('drain', drained)
    ends.client.send(Buffer.from('end'))
    const all = await atServer.until(sent + 3)
    for (let at = 0; at < sent; at += chunk.byteLength) {
      assert.ok(all.subarray(at, at + chunk.byteLength).equals(chunk), `chunk at ${at} differs`)
    }
    assert.equal(all.subarray(sent).toString(), 'end')
  })

  it('delivers what waited when the connection was closed, although control frames come after it', async () => {
    const ends = await securedPair('tuned', 'stock')
    ends.rawServer.pause()
    const body = new Uint8Array(randomBytes(16 << 20))
    assert.equal(ends.client.send(body), false)
    const closing = ends.rawClient.close()
    assert.equal(ends.rawClient.status, 'closing')
    ends.client.send(new Uint8Array(12))
    const atServer = collect(ends.server)
    ends.rawServer.resume()
    await within('closing', closing)
    assert.equal(ends.rawClient.status, 'closed')
    assert.ok((await atServer.until(body.byteLength)).equals(body))
  })

  it('keeps half a record that came in one read with the last handshake message', async () => {
    // The dialler's second message and the start of its first record leave in one write, the rest later.
    const held: Uint8Array[] = []
    let messages = 0
    let write: MessageStream['send'] = () => false
    const ends = await securedPair(
      'stock',
      'tuned',
      (raw) => {
        write = raw.send.bind(raw)
        raw.send = (data) => {
          messages += 1
          if (messages === 1) return write(data)
          held.push(data.slice())
          if (messages < 3) return true
          const all = Buffer.concat(held.splice(0))
          held.push(all.subarray(-20))
          return write(all.subarray(0, -20))
        }
      },
      (secured) => secured.send(Buffer.from('early data, sent before the listener was ready')),
    )
    const atServer = collect(ends.server)
    for (const rest of held) write(rest)
    assert.equal((await atServer.until(46)).toString(), 'early data, sent before the listener was ready')
  })
})
