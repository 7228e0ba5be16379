/** Poisoned messages and failed calls become dead letters, which people see and handle by `parley dlq`; real processes. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as z from 'zod'
import { DeadLetterDetailsSchema, DeadLetterSchema, DeliverySchema } from '../../node/observe/debug/message-schemas.ts'
import { type Ended, runCommand } from '../support/command.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

const Letters = z.array(DeadLetterSchema)
const common = { mesh: 'letters', debug: { port: 0 }, timings: { backoffMinMs: 100, backoffMaxMs: 500 } }
const once = { maxRetries: 0 }

describe('dead letters', { timeout: 100_000 }, () => {
  let folder = ''
  let sender: Peer
  let receiver: Peer

  const parley = (...args: string[]): Promise<Ended> => runCommand(args, { cwd: folder })
  const dlq = (command: string, ...args: string[]) => parley('dlq', command, '--data-dir', 'sender', ...args)
  const list = async (...args: string[]): Promise<z.output<typeof Letters>> => {
    const { code, stdout, stderr } = await dlq('ls', '--json', ...args)
    assert.equal(code, 0, stderr)
    return Letters.parse(JSON.parse(stdout))
  }
  const startSender = async (): Promise<void> => {
    sender = await startPeer({ ...common, name: 'sender', dataDir: join(folder, 'sender'), join: receiver.addresses })
    await sender.ask('joined', {})
  }
  /** Sends poisoned notes, and waits until there are so many letters more. */
  const poison = async (from: number, count: number): Promise<void> => {
    const { deadLetters } = await sender.ask('delivery', undefined)
    await sender.ask('sendNotes', { to: receiver.id, from, count, isPoison: true, retry: once })
    await until(
      'dead letters',
      async () => (await sender.ask('delivery', undefined)).deadLetters === deadLetters + count,
    )
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-letters-'))
    receiver = await startPeer({ ...common, name: 'receiver', dataDir: join(folder, 'receiver') })
    await receiver.ask('receiveNotes', undefined)
    await startSender()
  })
  after(async () => {
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('are listed and shown with what they say, why they died and to whom they were', async () => {
    assert.equal((await dlq('ls')).stdout, 'no dead letters\n')
    await poison(1, 1)
    const [letter, ...others] = await list()
    if (letter === undefined) return assert.fail('there is one')
    assert.deepEqual(
      [letter.type, letter.code, letter.destination, letter.name, letter.attempts, letter.isCall, others.length],
      ['note', 'APP001', receiver.id, 'receiver', 1, false, 0],
    )
    const table = (await dlq('ls')).stdout
    for (const part of [letter.id, 'note', 'receiver', 'APP001']) assert.ok(table.includes(part), table)
    const { stdout } = await dlq('show', letter.id, '--json')
    const details = DeadLetterDetailsSchema.parse(JSON.parse(stdout))
    assert.deepEqual([details.data, details.id], [{ n: 1, isPoison: true }, letter.id])
    const shown = (await dlq('show', letter.id)).stdout
    assert.match(shown, /"isPoison": true/)
    assert.match(shown, /why +APP001 the handler failed/)
    const none = await dlq('show', 'nothing')
    assert.deepEqual([none.code, /^error STA001: .*\nhint: /.test(none.stderr)], [1, true], none.stderr)
  })

  it('are sent again one by one, all of a type, or all; what is poison still dies again', async () => {
    const [first] = await list()
    await receiver.ask('cure', undefined)
    const one = await dlq('retry', first?.id ?? '')
    assert.deepEqual([one.code, one.stdout], [0, `${first?.id} is sent again\n`], one.stderr)
    await until('the note', async () => (await receiver.ask('notes', undefined)).length === 1)
    assert.deepEqual(await list(), [])

    await receiver.kill()
    receiver = await startPeer({
      ...common,
      name: 'receiver',
      dataDir: join(folder, 'receiver'),
      join: sender.addresses,
    })
    await receiver.ask('receiveNotes', undefined)
    await poison(2, 3)
    assert.deepEqual(JSON.parse((await dlq('retry', '--type', 'other', '--json')).stdout), {
      retried: 0,
      calls: 0,
      failed: 0,
    })
    const all = await dlq('retry', '--all')
    assert.deepEqual([all.code, all.stdout], [0, '3 dead letters sent again\n'], all.stderr)
    await until('three that died again', async () => (await list()).length === 3)
    await receiver.ask('cure', undefined)
    assert.equal(JSON.parse((await dlq('retry', '--type', 'note', '--json')).stdout).retried, 3)
    await until('the notes', async () => (await receiver.ask('notes', undefined)).length === 3)
    assert.deepEqual(await receiver.ask('notes', undefined), [2, 3, 4])
    assert.equal((await dlq('retry')).code, 2)
    assert.equal((await dlq('retry', 'x', '--all')).code, 2)
  })

  it('of calls lie there too, and are left alone when messages are sent again', async () => {
    const { id } = receiver
    await receiver.kill()
    const error = await failureOf(
      sender.ask('call', { to: id, method: 'echo', input: { text: 'x' }, options: { timeoutMs: 2_000 } }),
    )
    assert.ok(error instanceof Error)
    const letter = await until('the call', async () => (await list()).find(({ isCall }) => isCall))
    // The mesh's own calls, of which many fail here, are not among them.
    assert.equal(letter.type, 'call.probe.echo')
    assert.equal((await list()).length, 1)
    const refused = await dlq('retry', letter.id)
    assert.deepEqual(
      [refused.code, /cannot be sent as a message[\s\S]*hint: make the call again/.test(refused.stderr)],
      [1, true],
    )
    assert.deepEqual(JSON.parse((await dlq('retry', '--all', '--json')).stdout), { retried: 0, calls: 1, failed: 0 })
    assert.deepEqual(JSON.parse((await dlq('purge', letter.id, '--json')).stdout), { purged: 1 })
    receiver = await startPeer({
      ...common,
      name: 'receiver',
      dataDir: join(folder, 'receiver'),
      join: sender.addresses,
    })
    await receiver.ask('receiveNotes', undefined)
  })

  it('can be looked at while the node is stopped, are there when it is back, and need it to be changed', async () => {
    await poison(10, 2)
    const before = await list()
    await sender.kill()
    assert.deepEqual(
      (await list()).map(({ id, code }) => [id, code]),
      before.map(({ id, code }) => [id, code]),
    )
    const shown = await dlq('show', before[0]?.id ?? '')
    assert.match(shown.stdout, /"n": 10/)
    for (const [command, ...args] of [
      ['retry', '--all'],
      ['purge', '--all', '--yes'],
    ] as const) {
      const ended = await dlq(command, ...args)
      assert.deepEqual([ended.code, /hint: start one with: parley up/.test(ended.stderr)], [3, true], ended.stderr)
    }
    const nowhere = await parley('dlq', 'ls', '--data-dir', 'nowhere')
    assert.equal(nowhere.code, 3)
    assert.match(nowhere.stderr, /hint: start the node/)
    await startSender()
    assert.deepEqual(
      (await list()).map(({ id }) => id),
      before.map(({ id }) => id),
    )
  })

  it('are thrown away by who confirms it', async () => {
    const unsure = await dlq('purge', '--all')
    assert.deepEqual([unsure.code, /--yes/.test(unsure.stderr), (await list()).length], [2, true, 2])
    assert.equal((await dlq('purge', '--all', '--yes')).stdout, '2 dead letters thrown away\n')
    assert.deepEqual(await list(), [])
  })

  it('are hidden, and not changed, for who cannot read the data directory', async () => {
    await poison(20, 1)
    const url = sender.debugUrl ?? assert.fail()
    const [letter] = await list()
    const id = letter?.id ?? ''
    const hidden = await parley('dlq', 'show', id, '--url', url)
    assert.deepEqual(
      [hidden.code, /not shown without the key/.test(hidden.stdout), /isPoison/.test(hidden.stdout)],
      [0, true, false],
    )
    for (const args of [
      ['retry', id],
      ['purge', id],
      ['purge', '--all', '--yes'],
    ]) {
      const ended = await parley('dlq', ...args, '--url', url)
      assert.deepEqual([ended.code, /error SEC002/.test(ended.stderr)], [4, true], ended.stderr)
    }
    const view = DeliverySchema.parse(await (await fetch(`${url}/api/delivery`)).json())
    assert.deepEqual([view.deadLetters.messages, view.destinations[0]?.id], [1, receiver.id])
    assert.deepEqual(
      (await list()).map((one) => one.id),
      [id],
    )
  })
})
