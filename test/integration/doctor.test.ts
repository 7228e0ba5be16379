/** `parley doctor`, run on nodes with one fault each: it names that fault, and no other. */
import assert from 'node:assert/strict'
import { execFileSync, fork, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { type CommandOptions, firstLine, type Running, runCommand, startCommand } from '../support/command.ts'
import { shiftOption } from '../support/shifted-clock.ts'
import { until } from '../support/until.ts'

const LOCK_HOLDER = fileURLToPath(new URL('../support/lock-holder.ts', import.meta.url))

const Up = z.object({ addresses: z.array(z.string()), pid: z.number(), debugUrl: z.string() })

const Report = z.strictObject({
  verdict: z.enum(['ok', 'warn', 'fail']),
  tookMs: z.number(),
  checks: z.array(
    z.strictObject({
      name: z.string(),
      verdict: z.enum(['ok', 'warn', 'fail', 'skipped']),
      seen: z.string().min(1),
      todo: z.string().min(1).optional(),
      tookMs: z.number(),
    }),
  ),
})
type Report = z.output<typeof Report>

/** Everything in a folder, as it would look different if somebody had touched it. */
const picture = async (folder: string): Promise<string[]> => {
  const names = (await readdir(folder, { recursive: true })).sort()
  const facts = await Promise.all(names.map((name) => stat(join(folder, name))))
  return names.map((name, at) => `${name} ${facts[at]?.mode} ${facts[at]?.size} ${facts[at]?.mtimeMs}`)
}

const canMount = (): boolean => {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const noMounts = canMount() ? false : 'needs root and unshare'

const LIMIT_MS = 140_000

describe('parley doctor', { timeout: LIMIT_MS }, () => {
  let folder: string
  /** A node that runs, with a secret in `secret.key`, and one that was stopped in order. */
  let address: string
  /** What it says of one that is frozen: it waits for most of its time, so that it is begun first. */
  let frozen: Promise<Report & { code: number | null }>
  const stopped = (): string => join(folder, '.parley', 'stopped')
  const started: Running[] = []

  const up = async (...args: string[]) => {
    // Each is a mesh of its own.
    const running = startCommand(['up', '--json', '--no-local', '--secret-file', 'secret.key', ...args], {
      cwd: folder,
      limitMs: LIMIT_MS,
    })
    started.push(running)
    return { ...Up.parse(JSON.parse(await firstLine(running))), running }
  }
  const run = async (
    args: string[],
    options: Partial<CommandOptions> = {},
  ): Promise<Report & { code: number | null }> => {
    const ended = await runCommand(['doctor', '--json', ...args], { cwd: folder, ...options })
    assert.equal(ended.stderr, '')
    const report = Report.parse(JSON.parse(ended.stdout))
    return { ...report, code: ended.code }
  }
  const STOPPED = ['--node', 'stopped', '--secret-file', 'secret.key']

  /** It names this one fault, and nothing else. */
  const finds = async (
    args: string[],
    [name, verdict, seen, todo]: [string, 'warn' | 'fail', RegExp, RegExp],
    options: Partial<CommandOptions> = {},
  ): Promise<void> => {
    const report = await run(args, options)
    const found = report.checks.filter((one) => one.verdict === 'warn' || one.verdict === 'fail')
    const shown = JSON.stringify(found, undefined, 1)
    assert.deepEqual(
      found.map((one) => [one.name, one.verdict]),
      [[name, verdict]],
      shown,
    )
    assert.match(found[0]?.seen ?? '', seen)
    assert.match(found[0]?.todo ?? '', todo)
    assert.deepEqual([report.verdict, report.code], [verdict, verdict === 'fail' ? 1 : 0])
  }
  /** The stopped node's folder as a copy to be spoiled; its stores, and the note of them, stay behind: a copy of those is a fault. */
  const copyOf = async (): Promise<string> => {
    const path = await mkdtemp(join(folder, 'copy-'))
    await cp(stopped(), path, {
      recursive: true,
      filter: (from) => !/\/(journal|messages|fences|stores\.json)$/.test(from),
    })
    return path
  }
  const config = async (text: string): Promise<string> => {
    const path = join(await mkdtemp(join(folder, 'config-')), 'parley.yaml')
    await writeFile(path, `data_dir: ${stopped()}\nsecret_file: ${join(folder, 'secret.key')}\n${text}`)
    return path
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-doctor-'))
    await Promise.all([
      runCommand(['secret', '--out', 'secret.key'], { cwd: folder }),
      runCommand(['secret', '--out', 'other.key'], { cwd: folder }),
    ])
    const names = ['runs', 'stopped', 'frozen']
    const [runs, stops, freezes] = await Promise.all(names.map((name) => up('--name', name)))
    assert.ok(runs !== undefined && stops !== undefined && freezes !== undefined)
    address = runs.addresses[0] ?? ''
    await until('it coordinates its mesh', async () => {
      const { ready, degraded } = (await (await fetch(`${runs.debugUrl}/readyz`)).json()) as {
        ready: boolean
        degraded?: []
      }
      return ready && degraded === undefined
    })
    freezes.running.child.kill('SIGSTOP')
    frozen = run(['--node', 'frozen', '--secret-file', 'secret.key'])
    frozen.catch(() => {})
    stops.running.child.kill('SIGINT')
    assert.equal((await stops.running.ended).code, 0)
  })
  after(async () => {
    for (const { child, ended } of started) {
      child.kill('SIGKILL')
      await ended
    }
    await rm(folder, { recursive: true, force: true })
  })

  it('passes a stopped and a running node that are well, changes nothing and shows no secret', async () => {
    const before = await picture(stopped())
    const args = [...STOPPED, '--join', address]
    const [still, runs, people] = await Promise.all([
      run(args),
      run(['--node', 'runs', '--secret-file', 'secret.key']),
      runCommand(['doctor', ...args], { cwd: folder }),
    ])
    for (const report of [still, runs]) {
      const bad = report.checks.filter(({ verdict }) => verdict === 'warn' || verdict === 'fail')
      assert.deepEqual(bad, [])
      assert.deepEqual([report.verdict, report.code], ['ok', 0])
    }
    const ok = (report: Report): string[] =>
      report.checks.flatMap(({ name, verdict }) => (verdict === 'ok' ? [name] : []))
    for (const name of ['journal', 'messages', 'identity', 'lock', 'connection', 'admission', 'clock of peer'])
      assert.ok(ok(still).includes(name), name)
    for (const name of ['running node', 'ready', 'lock', 'admission']) assert.ok(ok(runs).includes(name), name)
    assert.deepEqual(await picture(stopped()), before)
    assert.match(people.stdout, /^ok +identity +12D3Koo/m)
    assert.match(people.stdout, /^all is well: \d+ checks/m)
    const secret = (await readFile(join(folder, 'secret.key'), 'utf8')).trim()
    assert.ok(!people.stdout.includes(secret) && !JSON.stringify([still, runs]).includes(secret))
  })

  it('names what is wrong with Node and with what the system gives it', async () => {
    const shim = (code: string): string[] => ['--import', `data:text/javascript,${encodeURIComponent(code)}`]
    const version = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '25.1.0' } })`
    const heap = ['--max-old-space-size=900000000']
    await Promise.all([
      finds(STOPPED, ['node', 'warn', /Node 25\.1\.0/, /use Node 22 or 24/], { nodeOptions: shim(version) }),
      finds(STOPPED, ['memory', 'warn', /the heap may grow to \d+ MiB/, /--max-old-space-size=\d+/], {
        nodeOptions: heap,
      }),
      finds(STOPPED, ['open files', 'warn', /at most 200;/, /ulimit -n 428/], {
        enter: ['sh', '-c', 'ulimit -n 200; exec "$@"', 'sh'],
      }),
    ])
  })

  it('names what is wrong with the clock', async () => {
    const newer = await copyOf()
    const soon = new Date(Date.now() + 3_600_000)
    await utimes(join(newer, 'incarnation'), soon, soon)
    const visit = ['--join', address, '--secret-file', 'secret.key']
    const empty = await mkdtemp(join(folder, 'empty-'))
    const absolute = ['--join', address, '--secret-file', join(folder, 'secret.key')]
    const shifted = (ms: number): Partial<CommandOptions> => ({ cwd: empty, nodeOptions: [shiftOption(ms)] })
    await Promise.all([
      finds(
        ['--data-dir', newer, ...visit],
        ['clock and files', 'warn', /incarnation was written 3\d{3}\.\d s from now/, /NTP/],
      ),
      finds([], ['clock', 'fail', /it shows 19\d\d-/, /NTP/], shifted(-50 * 365 * 86_400_000)),
      finds(absolute, ['clock of peer', 'warn', /that of runs is (19|20)\.\d s behind/, /NTP/], shifted(20_000)),
      finds(absolute, ['clock of peer', 'fail', /clocks of .+ differ by (89|90|91) s/, /NTP/], shifted(90_000)),
    ])
  })

  it('names what is wrong with the data directory and the identity', async (test) => {
    const [open, cut, other, held] = await Promise.all([copyOf(), copyOf(), copyOf(), copyOf()])
    await chmod(join(open, 'identity.key'), 0o644)
    await truncate(join(cut, 'identity.key'), 40)
    await chmod(other, 0o755)
    const holder = fork(LOCK_HOLDER, [held, 'hold'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    test.after(() => void holder.kill('SIGKILL'))
    await once(holder.stdout ?? holder, 'data')
    const long = new Date(Date.now() - 60_000)
    await utimes(join(held, 'lock'), long, long)
    await Promise.all([
      finds(['--data-dir', open], ['identity', 'fail', /has mode 0644/, /chmod 600/]),
      finds(
        ['--data-dir', cut],
        ['identity', 'fail', /40 bytes are not a libp2p private key/, /restore .+ from a backup/],
      ),
      finds(['--data-dir', other], ['owner and mode', 'warn', /has mode 0755/, /chmod 700/]),
      finds(['--data-dir', held], ['lock', 'fail', new RegExp(`process ${holder.pid} has`), /stop it/]),
      finds(['--data-dir', join(open, 'incarnation')], ['data directory', 'fail', /ENOTDIR|is a file/, /./]),
    ])
    assert.equal((await stat(join(open, 'identity.key'))).mode & 0o777, 0o644, 'it looks only')
  })

  it('names a disk that is full, or can only be read', { skip: noMounts }, async () => {
    const place = await mkdtemp(join(folder, 'mount-'))
    const inside = (mount: string): string[] => ['unshare', '-m', 'sh', '-c', `${mount} && exec "$@"`, 'sh']
    const full = inside(`mount -t tmpfs -o size=1m,mode=700 none ${place}`)
    const readOnly = inside(`mount -t tmpfs -o ro,size=600m,mode=700 none ${place}`)
    await Promise.all([
      finds(['--data-dir', place], ['disk space', 'fail', /1 MiB free/, /free some/], { enter: full }),
      finds(['--data-dir', place], ['data directory', 'fail', /can only be read/, /mount it/], { enter: readOnly }),
    ])
  })

  it('names the note of a node that was killed', async () => {
    const { running, pid: killed } = await up('--name', 'killed')
    running.child.kill('SIGKILL')
    await running.ended
    await finds(
      ['--node', 'killed', '--secret-file', 'secret.key'],
      ['node.json', 'warn', new RegExp(`process ${killed}, which is gone`), /system log/],
    )
  })

  it('names what is wrong with the stores', async () => {
    const mark = join(stopped(), 'messages', 'rows', 'mark')
    const bytes = await readFile(mark)
    const times = await stat(mark)
    await writeFile(mark, Buffer.alloc(bytes.length, 7))
    await finds(STOPPED, ['messages', 'fail', /should go is damaged/, /parley store repair/])
    await writeFile(mark, bytes)
    await utimes(mark, times.atime, times.mtime)
    const copied = await mkdtemp(join(folder, 'moved-'))
    await cp(stopped(), copied, { recursive: true })
    const report = await run(['--data-dir', copied])
    const warned = report.checks.filter(({ verdict }) => verdict === 'warn').map(({ name }) => name)
    assert.deepEqual(warned, ['journal', 'messages'])
  })

  it('names what is wrong with the configuration and the secret', async () => {
    const unknown = await config('limits:\n  max_connectoins: 3\n')
    await writeFile(join(folder, 'weak.key'), 'swordfish\n', { mode: 0o600 })
    await writeFile(join(folder, 'open.key'), await readFile(join(folder, 'secret.key')), { mode: 0o644 })
    await chmod(join(folder, 'open.key'), 0o644)
    const made = (await readFile(join(folder, 'secret.key'), 'utf8')).trim()
    await writeFile(join(folder, 'cut.key'), made.slice(0, -1), { mode: 0o600 })
    await writeFile(join(folder, 'former.key'), randomBytes(32).toString('base64url'), { mode: 0o600 })
    const beyond = ['--node', 'stopped', '--listen', '/ip4/0.0.0.0/tcp/0']
    await Promise.all([
      finds(['--config', unknown], ['configuration', 'fail', /parley\.yaml:4: .*max_connectoins/, /max_connections/]),
      finds([...beyond, '--secret-file', 'weak.key'], ['secret', 'fail', /the secret is weak/, /parley secret/]),
      finds([...beyond, '--secret-file', 'cut.key'], ['secret', 'fail', /checksum does not fit/, /copy it again/]),
      finds([...beyond, '--secret-file', 'former.key'], ['secret', 'warn', /next minor version/, /two rounds/]),
      finds(beyond, ['secret', 'fail', /this node has no secret/, /parley secret/]),
      finds(['--node', 'stopped', '--secret-file', 'open.key'], ['secret', 'fail', /has mode 0644/, /chmod 600/]),
      finds(
        ['--node', 'stopped', '--secret-file', 'none.key'],
        ['secret', 'fail', /does not exist/, /parley secret >/],
      ),
    ])
  })

  it('names what is wrong with ports and addresses', async (test) => {
    const taken = createTcpServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    test.after(() => void taken.close())
    const announce = await config('announce: [/ip4/0.0.0.0/tcp/8081]\nlisten: [/ip4/0.0.0.0/tcp/0]\n')
    const loopback = await config('announce: [/ip4/127.0.0.1/tcp/8081]\nlisten: [/ip4/0.0.0.0/tcp/0]\n')
    const debug = await config(`debug:\n  port: ${port}\n`)
    await Promise.all([
      finds(
        [...STOPPED, '--listen', `/ip4/127.0.0.1/tcp/${port}`],
        [
          'listen port',
          'fail',
          new RegExp(`127\\.0\\.0\\.1:${port} .+ taken by process ${process.pid}: `),
          /another port/,
        ],
      ),
      finds(
        [...STOPPED, '--listen', '/ip4/192.0.2.1/tcp/0', '/ip4/192.0.2.1/tcp/18'],
        ['listen port', 'fail', /no address of this machine/, /0\.0\.0\.0/],
      ),
      finds(
        ['--config', debug],
        ['debug port', 'fail', new RegExp(`${port} .+ process ${process.pid}`), /another port/],
      ),
      finds(['--config', loopback], ['announced addresses', 'fail', /leads each peer to itself/, /announce/]),
      finds(['--config', announce], ['announced addresses', 'fail', /stands for all addresses/, /announce/]),
    ])
  })

  it('names what is wrong with a certificate', { skip: hasOpenssl ? false : 'needs openssl' }, async () => {
    const make = async (days: number): Promise<string> => {
      const path = await mkdtemp(join(folder, 'tls-'))
      const args = `req -x509 -newkey ed25519 -nodes -days ${days} -subj /CN=a -keyout ${path}/key -out ${path}/cert`
      execFileSync('openssl', args.split(' '), { stdio: 'ignore' })
      await chmod(join(path, 'key'), 0o600)
      return path
    }
    const [short, other, open] = [await make(3), await make(300), await make(300)]
    await chmod(join(open, 'key'), 0o644)
    const tls = (cert: string, key: string): Promise<string> =>
      config(`tls:\n  cert_file: ${cert}/cert\n  key_file: ${key}/key\n`)
    const name = 'certificate'
    await Promise.all([
      finds(['--config', await tls(short, short)], [name, 'warn', /valid until .+ GMT/, /renew it/]),
      finds(['--config', await tls(short, other)], [name, 'fail', /is not the key of/, /PEM/]),
      finds(['--config', await tls(open, open)], [name, 'warn', /has mode 0644/, /chmod 600/]),
      finds(
        ['--config', await tls(other, join(folder, 'nowhere'))],
        [name, 'fail', /nowhere\/key does not exist/, /PEM/],
      ),
    ])
  })

  it('names why a member cannot be joined', async (test) => {
    const stranger = createServer((_, response) => response.end('hello'))
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const { port } = stranger.address() as AddressInfo
    test.after(() => {
      stranger.closeAllConnections()
      stranger.close()
    })
    const [, , , , own] = address.split('/')
    const elsewhere = address.replace(`/tcp/${own}/`, '/tcp/1/')
    const wrong = address.replace(/p2p\/.+$/, 'p2p/12D3KooWN3WzDZSFHfn5NHEx1n48x1EextWcKr1bcFqwLvhd11zX')
    const foreign = ['--node', 'stopped', '--secret-file', 'other.key', '--join', address]
    await Promise.all([
      finds(
        [...STOPPED, '--join', elsewhere],
        ['connection', 'fail', /127\.0\.0\.1:1: .*ECONNREFUSED/, /whether a node is up/],
      ),
      finds(foreign, ['admission', 'fail', /refuses this node: .+ for another secret/, /give both the same/]),
      finds(['--node', 'stopped', '--join', address], ['admission', 'fail', /needs a secret/, /--secret-file/]),
      finds(
        [...STOPPED, '--mesh', 'blue', '--join', address],
        ['admission', 'fail', /this is the mesh parley, not blue/, /mesh name/],
      ),
    ])
    await Promise.all([
      finds(
        [...STOPPED, '--listen', '/ip4/0.0.0.0/tcp/0', '--join', '/dns4/nowhere.invalid/tcp/8081'],
        ['name', 'fail', /nowhere\.invalid/, /./],
      ),
      finds(
        [...STOPPED, '--join', `/ip4/127.0.0.1/tcp/${port}`],
        ['admission', 'fail', /is reached, and no member lets this in/, /Parley node/],
      ),
      finds([...STOPPED, '--join', wrong], ['admission', 'fail', /no member lets this in/, /./]),
    ])
  })

  it('names a running node that is frozen, and stays within its time', async () => {
    const report = await frozen
    // Its timers end it after 15 s; a busy machine may let them wait.
    assert.ok(report.tookMs < 25_000, `${report.tookMs} ms`)
    const failed = report.checks.filter(({ verdict }) => verdict === 'fail')
    assert.deepEqual(failed.map(({ name }) => name).sort(), ['admission', 'running node'])
    assert.match(failed.find(({ name }) => name === 'running node')?.seen ?? '', /runs and does not answer/)
    assert.equal(report.code, 1)
  })

  it('names what a running node waits for', async () => {
    await up('--name', 'lonely', '--join', '/ip4/127.0.0.1/tcp/1')
    await finds(
      ['--node', 'lonely', '--secret-file', 'secret.key'],
      ['ready', 'fail', /lonely is not ready: no member of the mesh is connected/, /its log/],
    )
  })

  it('looks at each running node where several run and none is named, and names what it did not check', async () => {
    const { stdout } = await runCommand(['doctor', '--json', '--allow-weak-secret'], { cwd: folder })
    const { checks } = z
      .object({ checks: z.array(z.object({ node: z.string(), name: z.string(), verdict: z.string() })) })
      .parse(JSON.parse(stdout))
    const well = checks.filter(({ node, verdict }) => node === 'runs' && verdict === 'ok').map(({ name }) => name)
    for (const name of ['data directory', 'lock', 'identity', 'stores', 'running node', 'ready'])
      assert.ok(well.includes(name), `${name} in ${well}`)
    assert.ok(checks.some(({ node }) => node === 'frozen'))
    const empty = await mkdtemp(join(folder, 'empty-'))
    const { stdout: text } = await runCommand(['doctor'], { cwd: empty })
    assert.match(
      text,
      /^nothing is wrong in what was checked: \d+ checks\nnot checked, for the reasons above: .*stores/m,
    )
  })

  it('says which nodes there are where none is named', async () => {
    await mkdir(join(folder, 'none'), { recursive: true })
    const { checks, code } = await run([], { cwd: join(folder, 'none') })
    assert.equal(code, 0)
    assert.equal(checks.find(({ name }) => name === 'data directory')?.verdict, 'skipped')
    const wrong = await runCommand(['doctor', '--node', 'a', '--data-dir', 'b'], { cwd: folder })
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /^error MSG001: .+cannot be used with/)
  })
})
