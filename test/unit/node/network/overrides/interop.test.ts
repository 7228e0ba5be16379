/** The tuned layers against the stock ones of the same release, over real libp2p and TCP: nothing differs on the wire. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterEach, describe, it } from 'node:test'
import type { Stream, StreamCloseEvent } from '@libp2p/interface'
import { collect, type Kind, nodes, open, sendAll, stopAll, within } from './pair.ts'

afterEach(stopAll)

const echo = (stream: Stream): void => {
  stream.addEventListener('message', ({ data }) => void stream.send(data))
  stream.addEventListener('remoteCloseWrite', () => void stream.close())
}

const accepting = (): { serve: (stream: Stream) => void; accepted: Promise<Stream> } => {
  const { promise, resolve } = Promise.withResolvers<Stream>()
  return { serve: resolve, accepted: promise }
}

const pairs: [Kind, Kind][] = [
  ['tuned', 'stock'],
  ['stock', 'tuned'],
  ['tuned', 'tuned'],
]
for (const [dialler, listener] of pairs) {
  describe(`a ${dialler} node that dials a ${listener} one`, () => {
    it('echoes small bodies and one of 3 MiB', async () => {
      const connection = await nodes(dialler, listener, echo)
      const stream = await open(connection)
      const bodies = [1, 256, 70_000, 3 << 20].map((size) => new Uint8Array(randomBytes(size)))
      const answers = collect(stream)
      for (const body of bodies) await within('sending', sendAll(stream, body))
      const all = Buffer.concat(bodies)
      assert.ok((await answers.until(all.byteLength)).equals(all))
    })

    it('serves 100 streams at once and ends each of them', async () => {
      const connection = await nodes(dialler, listener, echo)
      // A stock listener takes 10 streams before its side of the connection is up: let it come up first.
      const first = await open(connection)
      first.send(new Uint8Array(1))
      await collect(first).until(1)
      await first.close()
      const one = async (): Promise<void> => {
        const stream = await open(connection)
        const body = new Uint8Array(randomBytes(20_000))
        const answer = collect(stream)
        const closed = once(stream, 'close')
        stream.send(body)
        await stream.close()
        await within('closing', closed)
        assert.ok(answer.bytes().equals(body))
      }
      await within('100 streams', Promise.all(Array.from({ length: 100 }, one)), 30_000)
      assert.equal(connection.streams.filter((stream) => stream.protocol === '/test/1').length, 0)
    })

    it('delivers what was sent just before the connection was closed', async () => {
      const { serve, accepted } = accepting()
      const connection = await nodes(dialler, listener, serve)
      const stream = await open(connection)
      const incoming = await accepted
      const received = collect(incoming)
      const closed = once(incoming, 'close')
      const body = new Uint8Array(randomBytes(50_000))
      stream.send(body)
      await within('closing the connection', connection.close())
      assert.ok((await received.until(body.byteLength)).equals(body))
      await within('the close event', closed)
    })

    it('resets the other end of a stream that is aborted, and only that stream', async () => {
      const { serve, accepted } = accepting()
      const connection = await nodes(dialler, listener, serve)
      const stream = await open(connection)
      const incoming = await accepted
      const closed: Promise<StreamCloseEvent[]> = once(incoming, 'close')
      stream.abort(new Error('enough'))
      const [event] = await within('the reset', closed)
      assert.equal(event?.error?.name, 'StreamResetError')
      assert.equal(connection.status, 'open')
    })

    it('tells the streams of the other end when the connection is aborted', async () => {
      const { serve, accepted } = accepting()
      const connection = await nodes(dialler, listener, serve)
      await open(connection)
      const closed = once(await accepted, 'close')
      connection.abort(new Error('enough'))
      await within('the close event', closed)
    })

    it('holds one window for a reader that pauses and delivers the rest when it resumes', async () => {
      const { serve, accepted } = accepting()
      const connection = await nodes(dialler, listener, serve)
      const stream = await open(connection)
      const incoming = await accepted
      incoming.pause()
      const body = new Uint8Array(randomBytes(3 << 20))
      const received = collect(incoming)
      const sending = sendAll(stream, body)
      const filled = async (): Promise<void> => {
        while (incoming.readBufferLength < 200 * 1024) await new Promise(setImmediate)
      }
      await within('filling the window', filled())
      for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate)
      // The negotiation of the stream may have grown the window a little.
      assert.ok(incoming.readBufferLength < 1 << 20, `${incoming.readBufferLength} bytes are held`)
      assert.ok(stream.writeBufferLength <= 64 * 1024, `${stream.writeBufferLength} bytes wait`)
      incoming.resume()
      await within('sending the rest', sending)
      assert.ok((await received.until(body.byteLength)).equals(body))
    })
  })
}
