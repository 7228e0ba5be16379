/** The control socket of a real node in this process, and its client. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as z from 'zod'
import { type ControlClient, createControlClient } from '../../../../node/control/control-client.ts'
import {
  CallLineSchema,
  MAX_BODY_BYTES,
  PublishedSchema,
  SubscribeLineSchema,
} from '../../../../node/control/control-schemas.ts'
import { MAX_STREAMS } from '../../../../node/control/control-streams.ts'
import { createMesh, type Mesh } from '../../../../node/index.ts'
import { readNodes } from '../../../../node/store/data-directory.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { failureOf, until } from '../../../support/until.ts'

const Anything = z.unknown()

let root: string
let mesh: Mesh
let path: string
let client: ControlClient

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'parley-socket-'))
  mesh = await createMesh({ name: 'held', dataDir: join(root, 'held'), control: true, log: 'silent', debug: 0 })
  const [found] = await readNodes(root)
  path = found?.control ?? ''
  client = createControlClient('held', path)
})
after(async () => {
  await mesh.stop()
  await rm(root, { recursive: true, force: true })
})

const subscribe = (patterns: string[], signal?: AbortSignal) =>
  client.stream('/api/subscribe', SubscribeLineSchema, { body: { patterns }, signal })

test('a node without a data directory has no place for a socket', async () => {
  assert.ok(isParleyError(await failureOf(createMesh({ control: true, log: 'silent' })), 'MSG001'))
})

test('what is not there and what cannot be used is answered with code and hint', async () => {
  const unknown = await failureOf(client.ask('GET', '/api/nothing', Anything))
  assert.ok(isParleyError(unknown, 'MSG004') && /GET \/api\/nothing/.test(unknown.message), String(unknown))
  const bad = await failureOf(
    client.ask('POST', '/api/publish', Anything, { body: { topic: 'a', events: [], more: 1 } }),
  )
  assert.ok(isParleyError(bad, 'MSG001') && /events/.test(bad.message) && /more/.test(bad.message), String(bad))
  const call = await failureOf(
    client.stream('/api/call', CallLineSchema, { body: { target: 'nobody.home', input: {} } }).next(),
  )
  assert.ok(isParleyError(call, 'COM004') && !call.remote, String(call))
})

test('a request has its limit, and one byte more is refused', async () => {
  const send = (bytes: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath: path, path: '/api/publish', method: 'POST', agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      sent.on('error', reject)
      const frame = '{"topic":"big.one","events":[1],"more":""}'
      // Chunked: its length is not told before.
      sent.write(frame.slice(0, -2))
      for (let left = bytes - frame.length; left > 0; left -= 1024 * 1024)
        sent.write('x'.repeat(Math.min(left, 1024 * 1024)))
      sent.end('"}')
    })
  assert.equal(await send(MAX_BODY_BYTES), 400, 'it is read, and refused for what it says')
  const error = await failureOf(
    client.ask('POST', '/api/publish', PublishedSchema, {
      body: { topic: 'big.one', events: ['x'.repeat(MAX_BODY_BYTES)] },
    }),
  )
  assert.ok(isParleyError(error, 'MSG001') && /more than/.test(error.message), String(error))
})

test('what is no request is refused, and harms nobody else', async () => {
  const socket = connect(path)
  const answer: Buffer[] = []
  socket.on('data', (chunk: Buffer) => void answer.push(chunk))
  socket.write('\u0000\u0001 hello\r\n\r\n')
  await new Promise((resolve) => socket.once('close', resolve))
  assert.match(Buffer.concat(answer).toString(), /^HTTP\/1\.1 400 /)
  await client.ask('GET', '/api/self', Anything)
})

test('so many streams are open and no more; leaving one gives its place back', async () => {
  const leave = new AbortController()
  const open = await Promise.all(
    Array.from({ length: MAX_STREAMS }, async () => {
      const stream = subscribe(['quiet.#'], leave.signal)
      await stream.next()
      return stream
    }),
  )
  assert.ok(isParleyError(await failureOf(subscribe(['quiet.#']).next()), 'COM003'))
  await open[0]?.return(undefined)
  await until('its place is free', async () => {
    const stream = subscribe(['quiet.#'])
    try {
      return (await stream.next()).done !== true
    } catch {
      return false
    } finally {
      await stream.return(undefined)
    }
  })
  leave.abort(new ParleyError('COM001', 'over', { hint: 'none' }))
  await Promise.all(open.map((stream) => stream.return(undefined)))
})

test('a reader that does not read misses events, is told how many, and they are counted', async () => {
  const total = 16_000
  const stream = subscribe(['flood.#'])
  const { value: ready } = await stream.next()
  assert.equal(ready?.type, 'ready')
  const data = { fill: 'x'.repeat(500) }
  for (let sent = 0; sent < total; sent += 200)
    await Promise.all(Array.from({ length: 200 }, () => mesh.events.publish('flood.water', data)))
  let heard = 0
  let missed = 0
  for await (const line of stream) {
    if (line.type === 'event') heard += 1
    if (line.type === 'missed') {
      assert.deepEqual([line.reason, line.publisher, line.word], ['overflow', mesh.self.id, 'flood'])
      missed += line.count
    }
    if (heard + missed >= total) break
  }
  assert.equal(heard + missed, total)
  assert.ok(missed > 0 && heard > 0, `${heard} heard, ${missed} missed`)
  const metrics = await (await fetch(`${mesh.debugUrl}/metrics`)).text()
  assert.equal(Number(/^\w*control_events_missed_total(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1]), missed)
})

test('a request to stop goes to whoever listens, and the socket ends with the node', async () => {
  const other = await createMesh({ name: 'other', dataDir: join(root, 'other'), control: true, log: 'silent' })
  const found = (await readNodes(root)).find(({ name }) => name === 'other')
  const socket = found?.control ?? ''
  const asked = Promise.withResolvers<void>()
  const { stop: stopListening } = other.onStopRequest(asked.resolve)
  const control = createControlClient('other', socket)
  await control.ask('POST', '/api/stop', Anything, { body: {} })
  await asked.promise
  assert.equal((await stat(socket)).isSocket(), true, 'it goes on: it was only told')
  const stream = control.stream('/api/subscribe', SubscribeLineSchema, { body: { patterns: ['a'] } })
  await stream.next()
  stopListening()
  await control.ask('POST', '/api/stop', Anything, { body: {} })
  const ended = await stream.next().catch((error: unknown) => error)
  assert.ok(isParleyError(ended, 'COM002') || (typeof ended === 'object' && ended !== null && 'done' in ended))
  await other.stop()
  const error = await failureOf(control.ask('GET', '/api/self', Anything))
  assert.ok(isParleyError(error, 'COM002') && /does not listen at/.test(error.message), String(error))
})
