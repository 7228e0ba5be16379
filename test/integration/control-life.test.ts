/** Nodes that end, in order and otherwise, and what the commands that use their control sockets make of it. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as z from 'zod'
import { MAX_SOCKET_PATH_BYTES } from '../../node/control/socket-path.ts'
import { assertError, type CommandFolder, commandFolder, firstLine, type Running } from '../support/command.ts'
import { until } from '../support/until.ts'

const Note = z.object({ control: z.string(), addresses: z.array(z.string()), pid: z.number() })

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

describe('the life of a control socket', { timeout: 90_000 }, () => {
  let folder: string
  let commands: CommandFolder
  const parley: CommandFolder['parley'] = (...given) => commands.parley(...given)
  const start: CommandFolder['start'] = (...given) => commands.start(...given)
  const noteIn = async (directory: string) =>
    Note.parse(JSON.parse(await readFile(join(directory, 'node.json'), 'utf8')))
  const noteOf = (name: string) => noteIn(join(folder, '.parley', name))
  const up = async (name: string, ...args: string[]): Promise<Running> => {
    const running = start(['up', '--json', '--no-debug', '--name', name, ...args])
    await firstLine(running)
    return running
  }
  const kill = (running: Running): Promise<void> => commands.kill(running)

  before(async () => {
    commands = await commandFolder()
    folder = commands.path
  })
  after(() => commands.end())

  test('a killed node is told of at once, and its socket is taken over by the next one', async () => {
    const first = await up('phoenix')
    const { control, pid } = await noteOf('phoenix')
    const listening = start(['sub', 'any.#', '--json'])
    assert.match(await firstLine(listening), /"ready"/)
    await kill(first)
    assertError(await listening.ended, 3, 'COM002', /the node phoenix is gone/, /start it again/)
    assert.ok(await exists(control), 'the socket of a killed process is left')
    assertError(await parley(['pub', 'any', '--node', 'phoenix']), 3, 'COM002', /no node called phoenix/)
    await up('phoenix')
    const { pid: next, control: again } = await noteOf('phoenix')
    assert.notEqual(next, pid)
    assert.equal(again, control)
    assert.equal((await parley(['id', '--node', 'phoenix'])).code, 0)
  })

  test('stop waits until the process is gone; what is not there, or was not meant, is told', async () => {
    await up('ember')
    const { pid, control } = await noteOf('ember')
    const listening = start(['sub', 'any.#', '--node', 'ember', '--json'])
    assert.match(await firstLine(listening), /"ready"/)
    assertError(
      await parley(['stop']),
      2,
      'MSG001',
      /2 nodes are running here: ember, phoenix/,
      /parley stop ember.+--all/,
    )
    assertError(await parley(['stop', 'embre']), 3, 'COM002', /no node called embre/, /did you mean ember\?/)
    assertError(await parley(['stop', 'ember', '--all']), 2, 'MSG001', /--all names all nodes already/)
    const stopped = await parley(['stop', 'ember', '--json'])
    const [told] = z
      .array(z.object({ name: z.string(), pid: z.number(), ms: z.number() }))
      .parse(JSON.parse(stopped.stdout))
    assert.deepEqual([told?.name, told?.pid], ['ember', pid])
    // It has ended; its parent, which is this process, hears of that a moment later.
    await until('its process is gone', () => {
      try {
        return !process.kill(pid, 0)
      } catch {
        return true
      }
    })
    assert.equal(await exists(control), false, 'and so is its socket')
    assertError(await listening.ended, 3, 'COM002', /the node (ember has stopped|is stopping)/)
    const all = await parley(['stop', '--all'])
    assert.match(all.stdout, /^phoenix stopped in [\d.]+ m?s\n$/)
    const none = await parley(['stop', '--all'])
    assert.deepEqual([none.code, none.stdout], [0, 'no node is running here\n'])
    assertError(await parley(['stop']), 3, 'COM002', /no node of .+ is running/, /parley up/)
  })

  test('the coordination is handed over, a seat given up, and dead letters seen, without a secret', async () => {
    await parley(['secret', '--out', 'mesh.key'])
    const key = ['--secret-file', 'mesh.key', '--mesh', 'seats']
    const node = (name: string, ...more: string[]): Promise<Running> => up(name, ...key, '--expect', '3', ...more)
    await node('one')
    const [address = ''] = (await noteOf('one')).addresses
    await Promise.all(['two', 'three'].map((name) => node(name, '--join', address)))
    const voters = async (): Promise<number> => {
      const { stdout } = await parley(['coordinator', 'voters', '--node', 'one', '--json'])
      const seats = z.array(z.object({ role: z.string() })).parse(JSON.parse(stdout))
      return seats.filter(({ role }) => role === 'voter').length
    }
    await until('all vote', async () => (await voters()) === 3, 20_000)
    const moved = await parley(['coordinator', 'transfer', '--node', 'two', '--to', 'three'])
    assert.match(moved.stdout, /^three coordinates now, in epoch \d+; before it was (one|two|three)\n$/, moved.stderr)
    const wrong = await parley(['coordinator', 'transfer', '--node', 'two', '--to', 'thre'])
    assertError(wrong, 3, 'STA001', /no agent is called "thre"/, /did you mean three\?/)
    const left = await parley(['leave', '--node', 'two'])
    assert.match(left.stdout, /^two has no seat any more/, left.stderr)
    assert.match((await parley(['leave', '--node', 'two', '--undo'])).stdout, /^two offers its seat again/)

    const dead = await parley(['send', 'note.short', '{}', '--node', 'one', '--to', 'two', '--ttl', '1', '--json'])
    assert.equal(dead.code, 0, dead.stderr)
    const Letters = z.array(z.object({ id: z.string(), type: z.string() }))
    const letters = async () =>
      Letters.parse(JSON.parse((await parley(['dlq', 'ls', '--node', 'one', '--json'])).stdout))
    const [letter] = await until('it died', async () => {
      const found = await letters()
      return found.length > 0 ? found : undefined
    })
    assert.equal(letter?.type, 'note.short')
    assert.match((await parley(['dlq', 'show', letter?.id ?? '', '--node', 'one'])).stdout, /\n\n\{\}\n$/)
    const nobody = await parley(['dlq', 'retry', letter?.id ?? '', '--to', 'nobody', '--node', 'one'])
    assertError(nobody, 3, 'STA001', /no agent is called "nobody"/)
    const listed = await parley(['dlq', 'ls', '--node', 'one'])
    assert.ok(
      listed.stdout.split('\n').every((line) => line.length <= 80),
      listed.stdout,
    )
    assert.match(
      (await parley(['dlq', 'purge', '--all', '--yes', '--node', 'one'])).stdout,
      /^1 dead letter thrown away/,
    )
    assert.match((await parley(['stop', 'one', 'two', 'three'])).stdout, /^one stopped.+\ntwo stopped.+\nthree stopped/)
  })

  test('a path that is too long for a socket gives way to a short one, in a folder for this user alone', async () => {
    const long = join(folder, 'x'.repeat(MAX_SOCKET_PATH_BYTES), 'node')
    const short = await mkdtemp(join(tmpdir(), 's-'))
    try {
      await mkdir(join(folder, 'x'.repeat(MAX_SOCKET_PATH_BYTES)))
      const node = start(['up', '--json', '--no-debug', '--data-dir', long], { env: { TMPDIR: short } })
      await firstLine(node)
      const { control } = await noteIn(long)
      assert.ok(control.startsWith(short) && Buffer.byteLength(control) <= MAX_SOCKET_PATH_BYTES, control)
      assert.equal((await stat(join(control, '..'))).mode & 0o777, 0o700)
      assert.equal((await parley(['id', '--data-dir', long])).code, 0)
      assert.match((await parley(['stop', '--data-dir', long])).stdout, /stopped in/)
      assert.equal(await exists(join(control, '..')), false)
    } finally {
      await rm(short, { recursive: true, force: true })
    }
  })

  test('connections that say nothing keep nobody else from the socket beyond their bound', async () => {
    await up('crowded')
    const { control } = await noteOf('crowded')
    const idle = Array.from({ length: 100 }, () => connect(control).on('error', () => {}))
    try {
      await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
      assert.equal((await parley(['id', '--node', 'crowded'])).code, 0)
      const more = Array.from({ length: 28 }, () => connect(control).on('error', () => {}))
      idle.push(...more)
      await Promise.all(more.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
      const refused = await parley(['id', '--node', 'crowded'])
      assertError(refused, 3, 'COM002', /the node crowded is gone|cannot be reached/)
    } finally {
      for (const socket of idle) socket.destroy()
    }
    await until('there is room again', async () => (await parley(['id', '--node', 'crowded'])).code === 0)
    assert.match((await parley(['stop', 'crowded'])).stdout, /crowded stopped in/)
  })

  test('help loads neither libp2p nor schemas, and lists the commands', async () => {
    const hook = `import { registerHooks } from 'node:module'
      registerHooks({ load(url, context, next) {
        if (/node_modules.(@libp2p|libp2p|zod|@chainsafe|hono)/.test(url)) process.stderr.write('loaded ' + url + '\\n')
        return next(url, context)
      } })`
    const help = await parley(['--help'], {
      nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(hook)}`],
    })
    assert.deepEqual([help.code, help.stderr], [0, ''])
    for (const name of [
      'up',
      'stop',
      'id',
      'call',
      'pub',
      'sub',
      'send',
      'serve',
      'top',
      'outbox',
      'journal',
      'describe',
      'bench',
      'completion',
    ])
      assert.match(help.stdout, new RegExp(`^ {2}${name} `, 'm'))
    const codes = await parley(['help', 'exit-codes'])
    assert.match(codes.stdout, /3 {2}no node or agent was found/)
  })
})
