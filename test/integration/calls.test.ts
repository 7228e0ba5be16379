/** Calls, streams and cancellation between two processes over TCP. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as z from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import { defineMessage } from '../../protocols/delivery/define-message.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { testFolder } from '../support/folder.ts'
import { type OwnMesh, startMesh, stopMeshes, untilKnown } from '../support/meshes.ts'
import { newerProbe, probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, timed, until } from '../support/until.ts'

describe('two processes that joined', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let theirs: Peer

  before(async () => {
    ours = await startMesh({ name: 'ours' })
    theirs = await startPeer({ name: 'theirs', join: ours.mesh.self.addresses })
    await theirs.ask('joined', {})
    await untilKnown(ours.mesh, theirs.id)
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })
  const client = () => ours.mesh.to(theirs.id, probe)
  const journal = () => theirs.ask('journal', undefined)

  it('know each other by id and name', async () => {
    const facts = await theirs.ask('facts', undefined)
    assert.deepEqual(ours.mesh.members(), [{ id: theirs.id, name: 'theirs' }])
    assert.deepEqual(facts.members, [{ id: ours.mesh.self.id, name: 'ours' }])
    assert.equal(ours.mesh.directory.find('theirs')?.peer, theirs.id)
    assert.deepEqual(facts.agents.map(({ name }) => name).sort(), ['ours', 'theirs'])
  })

  it('are joined by an address without a peer id as well', async () => {
    const address = ours.mesh.self.addresses[0]?.replace(/\/p2p\/.*/, '') ?? ''
    const third = await startPeer({ name: 'third', join: [address] })
    await third.ask('joined', {})
    assert.deepEqual(await third.ask('call', { to: ours.mesh.self.id, method: 'echo', input: { text: 'hello' } }), {
      text: 'hello',
    })
    await third.kill()
    await until('the third is gone', () => ours.mesh.members().length === 1)
  })

  it('call each other', async () => {
    assert.deepEqual(await client().echo({ text: 'to the other process' }), { text: 'to the other process' })
    assert.deepEqual(await theirs.ask('call', { to: ours.mesh.self.id, method: 'who', input: {} }), {
      id: ours.mesh.self.id,
    })
  })

  it('are called by name, one or several, and by a client that outlives who has the name', async () => {
    const { mesh } = ours
    const named = mesh.to('theirs', probe)
    assert.deepEqual(await named.who({}), { id: theirs.id })
    const numbers: number[] = []
    for await (const { n } of named.count({ to: 3 })) numbers.push(n)
    assert.deepEqual(numbers, [1, 2, 3])
    const answered: string[] = []
    for await (const reply of mesh.to(['theirs', mesh.self.id, 'nobody'], probe).who({})) {
      if ('value' in reply) answered.push(reply.value.id)
      else assert.ok(reply.peer === 'nobody' && isParleyError(reply.error, 'COM002'))
    }
    assert.deepEqual(answered.toSorted(), [theirs.id, mesh.self.id].toSorted())
    assert.deepEqual(await mesh.any(probe, { exclude: ['ours'] }).who({}), { id: theirs.id })
  })

  it('say of a name that nobody has what to look at, and nothing of peer ids', async () => {
    const error = await failureOf(ours.mesh.to('thiers', probe).who({}))
    assert.ok(isParleyError(error, 'COM002'))
    assert.match(error.message, /no agent is called "thiers"/)
    assert.match(error.hint ?? '', /did you mean theirs\?.*parley peers/)
    assert.deepEqual([error.details.sent, error.details.reason], [false, 'unknown-name'])
    assert.doesNotMatch(`${error.message} ${error.hint}`, /base58|multibase|multihash/i)
    const { messages, commands } = ours.mesh
    const Note = defineMessage({ type: 'note', version: '1.0.0', schema: z.string() })
    for (const sent of [
      messages.send('thiers', Note, 'x', { guarantee: 'AT_MOST_ONCE' }),
      commands.send('thiers', 'x.y'),
    ])
      assert.ok(isParleyError(await failureOf(sent), 'COM002'))
  })

  it('say at once, at both ends, where a message cannot count exactly once for want of a data directory', async (t) => {
    const Once = defineMessage({ type: 'once', version: '1.0.0', schema: z.string() })
    const guarantee = 'EXACTLY_ONCE'
    const { mesh, log } = ours
    await mesh.messages.receive(Once, () => {})
    const unsent = await failureOf(mesh.messages.send('theirs', Once, 'x', { guarantee }))
    assert.ok(isParleyError(unsent, 'STA003') && unsent.details.reason === 'volatile', `${unsent}`)
    assert.match(`${unsent.message} ${unsent.hint}`, /EXACTLY_ONCE needs a data directory.*dataDir/)
    const keeper = await startMesh({ name: 'keeper', join: mesh.self.addresses, dataDir: await testFolder(t) })
    await keeper.mesh.joined()
    const { value: refused, ms } = await timed(async () => {
      const receipt = await keeper.mesh.messages.send(mesh.self.id, Once, 'x', { guarantee })
      return failureOf(receipt.delivered({ timeoutMs: 20_000 }))
    })
    assert.ok(isParleyError(refused, 'COM001') && refused.details.reason === 'volatile', `${refused}`)
    assert.equal(refused.details.attempts, 1, 'another attempt would not help')
    assert.match(refused.message, /STA003 the receiver has no data directory/)
    assert.match(refused.hint ?? '', /^give the receiver a dataDir, or send AT_LEAST_ONCE; see parley dlq show/)
    assert.ok(ms < 5_000, `${ms} ms`)
    const told = log.lines.filter(({ message }) => /EXACTLY_ONCE are refused.*no data directory/.test(message))
    assert.deepEqual(
      told.map(({ fields }) => fields?.source),
      [keeper.mesh.self.id],
    )
    const kept = await keeper.mesh.messages.send('ours', Once, 'x')
    await kept.delivered({ timeoutMs: 20_000 })
    await keeper.mesh.stop()
  })

  it('refuse a name that several have, with the peer id of each', async () => {
    const twins = [await startMesh({ name: 'twin' }), await startMesh({ name: 'twin' })].map(({ mesh }) => mesh)
    const caller = await startMesh({ name: 'caller', join: twins.flatMap(({ self }) => self.addresses) })
    await untilKnown(caller.mesh, ...twins.map(({ self }) => self.id))
    const error = await failureOf(caller.mesh.to('twin', probe).who({}))
    assert.ok(isParleyError(error, 'STA003'))
    assert.equal(error.details.reason, 'ambiguous')
    for (const { self } of twins) assert.ok(error.hint?.includes(self.id))
  })

  it('refuse what can be no target before anything is called', async () => {
    const { mesh } = ours
    for (const target of [undefined, null, '', 7, {}, 'a b', mesh.self.addresses[0], [theirs.id, undefined]]) {
      const to = () => mesh.to(target as string, probe)
      assert.throws(
        to,
        (error) => isParleyError(error, 'MSG001') && /peer id or the name/.test(error.message),
        `${target}`,
      )
    }
    const Note = defineMessage({ type: 'note', version: '1.0.0', schema: z.string() })
    for (const target of [undefined, '', ['a b']]) {
      const sent = mesh.messages.send(target as string, Note, 'x', { guarantee: 'AT_MOST_ONCE' })
      assert.ok(isParleyError(await failureOf(sent), 'MSG001'))
    }
    assert.ok(isParleyError(await failureOf(mesh.commands.send(undefined as never, 'x.y')), 'MSG001'))
  })

  it('refuse an option that nobody knows, and name the one that was meant', async () => {
    // As from a program without types.
    const mistyped: object = { timeoutMS: 5 }
    const error = await failureOf(client().echo({ text: 'x' }, mistyped))
    assert.ok(isParleyError(error, 'MSG001'))
    assert.deepEqual([error.hint, error.details.meant], ['did you mean timeoutMs?', 'timeoutMs'])
    assert.throws(() => ours.mesh.any(probe, mistyped), { code: 'MSG001' })
    assert.ok(
      isParleyError(await failureOf(ours.mesh.events.publish('a.b', 1, { prority: 'high' } as object)), 'MSG001'),
    )
    assert.ok(isParleyError(await failureOf(ours.mesh.joined({ timeout: 5 } as object)), 'MSG001'))
  })

  it('carry a header that claims another type of message as a header and no more', async () => {
    const typed = defineProtocol({
      name: 'typed',
      version: '1.0.0',
      methods: { look: { request: z.object({}), response: z.array(z.string()) } },
    })
    const { mesh } = ours
    await mesh.serve(typed, { look: (_, { envelope }) => [envelope.type, envelope.headers['message-type'] ?? ''] })
    const headers = { 'message-type': 'NOTIFICATION' }
    assert.deepEqual(await mesh.to(mesh.self.id, typed).look({}, { headers }), ['REQUEST', 'NOTIFICATION'])
  })

  it('carry texts of any script and bodies of megabytes', async () => {
    const text = `żółć 漢字 🜁 \u0000 ${'long '.repeat(500_000)}`
    const answer = await client().echo({ text })
    assert.ok(answer.text === text, 'the text came back as it was')
  })

  it('refuse a body above the bound before it is sent', async () => {
    const sentBefore = ours.mesh.figures().links.bytesOut
    const error = await failureOf(client().echo({ text: 'x'.repeat(5 << 20) }))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'MSG001')
    assert.ok(ours.mesh.figures().links.bytesOut - sentBefore < 100_000)
  })

  it('stream items in order, and end', async () => {
    const numbers: number[] = []
    for await (const { n } of client().count({ to: 2_000 })) numbers.push(n)
    assert.deepEqual(
      numbers,
      Array.from({ length: 2_000 }, (_, i) => i + 1),
    )
  })

  it('end the generator of the other process when the reader leaves its loop', async () => {
    const { streamsEnded } = await journal()
    for await (const { n } of client().count({ to: 1_000_000 })) if (n === 10) break
    const { made } = await until('the stream was ended there', async () => {
      const now = await journal()
      return now.streamsEnded > streamsEnded && now
    })
    assert.ok(made < 10_000, `${made} items were made for a reader of 10`)
  })

  it('quarantine and count what still comes of a stream that was left', async () => {
    const before = ours.mesh.figures().links.lateReplies
    await until('items came late', async () => {
      // Large items: the first is read while the others of its window are on their way, but for a very slow machine.
      for await (const { n } of client().count({ to: 1_000, bytes: 60_000 })) if (n === 1) break
      await client().echo({ text: 'behind what was on its way' })
      return ours.mesh.figures().links.lateReplies > before
    })
    const last = ours.mesh.figures().late.at(-1)
    assert.equal(last?.label, 'probe.count')
    assert.deepEqual(await client().echo({ text: 'not taken for another answer' }), {
      text: 'not taken for another answer',
    })
  })

  it('send one-way messages', async () => {
    await client().note({ text: 'no answer wanted' })
    await until('the note arrived', async () => (await journal()).notes.includes('no answer wanted'))
  })

  it('abort the signal of the handler in the other process when the caller cancels', async () => {
    const stop = new AbortController()
    const call = client().hold({ tag: 'canceled' }, { signal: stop.signal })
    await until('the handler runs', async () => (await journal()).held.includes('canceled'))
    stop.abort(new Error('changed my mind'))
    const error = await failureOf(call)
    assert.equal(error instanceof Error ? error.message : '', 'changed my mind')
    const { aborted } = await until('the handler was told', async () => {
      const now = await journal()
      return now.aborted.some(({ tag }) => tag === 'canceled') && now
    })
    assert.deepEqual(
      aborted.find(({ tag }) => tag === 'canceled'),
      { tag: 'canceled', code: 'COM001' },
    )
  })

  it('abort the signal of our handler when the other process cancels', async () => {
    const call = await theirs.ask('begin', { to: ours.mesh.self.id, method: 'hold', input: { tag: 'backwards' } })
    await until('our handler runs', () => ours.journal.held.includes('backwards'))
    await theirs.ask('abort', { call })
    await until('our handler was told', () => ours.journal.aborted.some(({ tag }) => tag === 'backwards'))
  })

  it('give a call up after its time, and tell the handler', async () => {
    const { ms, value: error } = await timed(() => failureOf(client().hold({ tag: 'slow' }, { timeoutMs: 300 })))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'COM001')
    assert.ok(ms >= 299 && ms < 3_000, `${ms} ms`)
    await until('the handler was told', async () => (await journal()).aborted.some(({ tag }) => tag === 'slow'))
    assert.deepEqual(await client().echo({ text: 'the link goes on' }), { text: 'the link goes on' })
  })

  it('answer a method that the other side does not have with MSG004, and count it there', async () => {
    const error = await failureOf(ours.mesh.to(theirs.id, newerProbe).reverse({ text: 'abc' }))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'MSG004')
    assert.equal(error.remote, true)
    assert.match(error.message, /reverse/)
    assert.equal((await theirs.ask('facts', undefined)).figures.denied.MSG004, 1)
  })

  it('fail at once for a protocol that nobody offers, or that the peer does not', async () => {
    const absent = defineProtocol({
      name: 'absent',
      version: '1.0.0',
      methods: { ask: { request: z.object({}), response: z.object({}) } },
    })
    const { ms, value: nobody } = await timed(() => failureOf(ours.mesh.any(absent).ask({})))
    assert.ok(nobody instanceof ParleyError && nobody.code === 'COM004')
    assert.ok(ms < 1_000, `${ms} ms`)
    const unsupported = await failureOf(ours.mesh.to(theirs.id, absent).ask({}))
    assert.ok(unsupported instanceof ParleyError && unsupported.code === 'MSG004')
    // One that joins others waits until it has heard of them, for no longer than its call has.
    const { mesh } = await startMesh({ name: 'joiner', join: ours.mesh.self.addresses })
    const hurried = await failureOf(mesh.any(absent).ask({}, { timeoutMs: 1_500 }))
    assert.ok(isParleyError(hurried, 'COM004'), String(hurried))
    await mesh.stop()
  })

  it('refuse an input that breaks the contract on this side, before anything is sent', async () => {
    const before = ours.mesh.figures().links.framesOut
    const error = await failureOf(client().echo(JSON.parse('{"text":7}')))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'MSG001')
    assert.equal(error.remote, false)
    assert.deepEqual(error.details.issues, [
      { path: 'text', message: 'Invalid input: expected string, received number' },
    ])
    assert.ok(ours.mesh.figures().links.framesOut - before <= 2, 'at most a beat went out meanwhile')
  })

  it('refuse an input that breaks the contract on the other side too', async () => {
    const loose = defineProtocol({
      name: 'probe',
      version: '1.0.0',
      methods: { echo: { request: z.object({ text: z.unknown() }), response: z.unknown() } },
    })
    const error = await failureOf(ours.mesh.to(theirs.id, loose).echo({ text: 7 }))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'MSG001')
    assert.equal(error.remote, true)
  })

  it('never hand over an answer that breaks the contract', async () => {
    const error = await failureOf(client().lie({}))
    assert.ok(error instanceof ParleyError)
    assert.equal(error.code, 'APP001')
    assert.match(error.message, /contract/)
  })

  it('carry a typed error with its details, and of any other only a fixed text', async () => {
    const typed = await failureOf(client().fail({ typed: true }))
    assert.ok(typed instanceof ParleyError)
    assert.deepEqual(
      [typed.code, typed.message, typed.hint, typed.details, typed.remote],
      ['STA001', 'no such thing', 'ask for another', { thing: 7 }, true],
    )
    const other = await failureOf(client().fail({ typed: false }))
    assert.ok(other instanceof ParleyError)
    assert.deepEqual([other.code, other.message, other.details], ['APP001', 'the handler failed', {}])
  })
})
