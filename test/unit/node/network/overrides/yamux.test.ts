import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterEach, describe, it } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { EARLY_STREAMS, tunedYamux, YAMUX_REVIEWED } from '../../../../../node/network/overrides/yamux.ts'
import { collect, countSends, type Ends, securedPair, sendAll, stopAll, within } from './pair.ts'

afterEach(stopAll)

const WINDOW = 256 * 1024
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Muxed extends Ends {
  outgoing: Stream
  incoming: Stream
}

/** One open stream between two tuned muxers. `roundTripMs` is what the muxers think of the connection. */
const muxed = async (roundTripMs = -1): Promise<Muxed> => {
  const ends = await securedPair('tuned', 'tuned')
  const [dialler, listener] = [ends.client, ends.server].map((secured) => {
    const muxer = tunedYamux({ enableKeepAlive: false })().createStreamMuxer(secured)
    muxer.getRTT = () => roundTripMs
    return muxer
  })
  if (dialler === undefined || listener === undefined) throw new Error('two ends make two muxers')
  const accepted = Promise.withResolvers<Stream>()
  listener.addEventListener('stream', ({ detail }) => accepted.resolve(detail))
  const outgoing = await dialler.createStream()
  return { ...ends, outgoing, incoming: await within('a stream that nothing was sent on', accepted.promise) }
}

const echo = (stream: Stream): void => stream.addEventListener('message', ({ data }) => void stream.send(data))

describe('tuned yamux', () => {
  it('overrides the release of upstream that was reviewed', () => {
    const file = new URL('../../package.json', import.meta.resolve('@libp2p/yamux'))
    const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
    assert.equal(version, YAMUX_REVIEWED, 'read the new sources, then change YAMUX_REVIEWED')
  })

  it('keeps streams that come before anyone listens up to a limit, and ends the connection one past it', async () => {
    for (const count of [EARLY_STREAMS, EARLY_STREAMS + 1]) {
      const { client, server } = await securedPair('tuned', 'tuned')
      const listener = tunedYamux({ enableKeepAlive: false })().createStreamMuxer(server)
      const dialler = tunedYamux({ enableKeepAlive: false })().createStreamMuxer(client)
      const streams = await Promise.all(Array.from({ length: count }, () => dialler.createStream()))
      const opened = async (): Promise<void> => {
        while (listener.status === 'open' && listener.streams.length < count) await turn()
      }
      await within('opening', opened())
      let heard = 0
      listener.addEventListener('stream', () => {
        heard += 1
      })
      await turn()
      assert.equal(listener.status, count > EARLY_STREAMS ? 'closed' : 'open')
      if (count === EARLY_STREAMS) assert.equal(heard, streams.length)
    }
  })

  it('costs a lone request one write to the connection on each side', async () => {
    const { outgoing, incoming, rawClient, rawServer } = await muxed()
    echo(incoming)
    const answers = collect(outgoing)
    const request = new Uint8Array(randomBytes(256))
    outgoing.send(request)
    await answers.until(256)
    await turn()
    const [atClient, atServer] = [countSends(rawClient), countSends(rawServer)]
    for (let done = 1; done <= 50; done += 1) {
      outgoing.send(request)
      await answers.until(256 * (done + 1))
    }
    await turn()
    assert.deepEqual([atClient.sends.length, atServer.sends.length], [50, 50])
  })

  it('acknowledges a stream at once, then updates when half of the window is used, and not one byte before', async () => {
    const { outgoing, incoming, rawServer } = await muxed()
    const atServer = countSends(rawServer)
    const received = collect(incoming)
    const send = async (count: number): Promise<number> => {
      const expected = received.bytes().byteLength + count
      outgoing.send(new Uint8Array(count))
      await received.until(expected)
      await turn()
      return atServer.sends.length
    }
    // The ACK carries an update of the one byte, so the window is whole again.
    assert.equal(await send(1), 1)
    assert.equal(await send(WINDOW / 2 - 1), 1)
    assert.equal(await send(1), 2)
    assert.equal(await send(WINDOW / 2 - 1), 2)
  })

  it('sends no update while paused and the whole update on resume, however little was used', async () => {
    const { outgoing, incoming, rawServer } = await muxed()
    const received = collect(incoming)
    outgoing.send(new Uint8Array(1))
    await received.until(1)
    await turn()
    const atServer = countSends(rawServer)
    const arrived = async (held: number): Promise<void> => {
      while (incoming.readBufferLength < held) await turn()
    }
    incoming.pause()
    outgoing.send(new Uint8Array(10))
    await within('arriving', arrived(10))
    assert.equal(atServer.sends.length, 0)
    incoming.resume()
    await turn()
    assert.equal(atServer.sends.length, 1)

    incoming.pause()
    const body = new Uint8Array(randomBytes(3 << 20))
    const sending = sendAll(outgoing, body)
    await within('filling the window', arrived(WINDOW))
    await turn()
    assert.equal(incoming.readBufferLength, WINDOW)
    assert.equal(atServer.sends.length, 1)
    incoming.resume()
    await within('sending the rest', sending)
    assert.ok((await received.until(11 + body.byteLength)).subarray(11).equals(body))
  })

  it('holds a pause that is made while resuming, so that a reader of one message at a time is never flooded', async () => {
    const { outgoing, incoming } = await muxed()
    // Twice what a stream may hold before it is reset.
    const body = new Uint8Array(randomBytes(8 << 20))
    const received = collect(incoming)
    let most = 0
    const readOn = async (): Promise<void> => {
      // Long enough for all that the peer may send to arrive.
      for (let turns = 0; turns < 20; turns += 1) await turn()
      most = Math.max(most, incoming.readBufferLength)
      if (incoming.status === 'open') incoming.resume()
    }
    incoming.addEventListener('message', () => {
      incoming.pause()
      void readOn()
    })
    await within('sending', sendAll(outgoing, body))
    assert.ok((await received.until(body.byteLength)).equals(body))
    assert.ok(most <= WINDOW, `${most} bytes were held`)
    assert.equal(incoming.status, 'open')
  })

  it('grows a window to what a paused stream may hold and no further', async () => {
    // A minute's round trip: each update doubles the window.
    const { outgoing, incoming } = await muxed(60_000)
    const body = new Uint8Array(randomBytes(24 << 20))
    const received = collect(incoming)
    await within('warming up', sendAll(outgoing, body))
    await received.until(body.byteLength)
    incoming.pause()
    const sending = sendAll(outgoing, body)
    let held = -1
    const settled = async (): Promise<void> => {
      while (held < WINDOW || held !== incoming.readBufferLength) {
        held = incoming.readBufferLength
        for (let turns = 0; turns < 20; turns += 1) await turn()
      }
    }
    await within('filling the window', settled())
    assert.ok(held > WINDOW && held <= 4 << 20, `${held} bytes are held`)
    assert.equal(incoming.status, 'open')
    incoming.resume()
    await within('sending the rest', sending)
    await received.until(2 * body.byteLength)
  })
})
