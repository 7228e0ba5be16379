/**
 * RabbitMQ's server as a process of its own: fresh data, free loopback ports, no plugins, no daemon left behind.
 *
 * It is started by the script inside the package: the one in PATH changes to another user. Erlang would start a port
 * mapper (epmd) that outlives the server and listens on every interface, so this process starts its own one first.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { announce, benchDirectory, freePort } from '../surroundings.ts'
import { SCRIPT } from './rabbitmq-release.ts'

const START_LIMIT_MS = 60_000
const LOOK_EACH_MS = 50

/** Ends with this process, however that ends. */
const own = (child: ChildProcess): ChildProcess => {
  announce(child.pid)
  process.on('exit', () => child.kill('SIGKILL'))
  return child
}

const accepts = async (port: number): Promise<boolean> => {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

const startPortMapper = async (port: number): Promise<void> => {
  const mapper = own(spawn('epmd', ['-port', String(port), '-address', '127.0.0.1'], { stdio: 'ignore' }))
  const failed = once(mapper, 'error').then(([error]) => Promise.reject(error))
  const listens = async (): Promise<void> => {
    while (mapper.exitCode === null && !(await accepts(port))) await delay(LOOK_EACH_MS)
    if (mapper.exitCode !== null) throw new Error(`epmd ended with ${mapper.exitCode}`)
  }
  await Promise.race([listens(), failed])
}

/** @returns its address as amqplib takes it */
export const startRabbit = async (): Promise<string> => {
  const [port, mapperPort, nodePort] = [await freePort(), await freePort(), await freePort()]
  const directory = await mkdtemp(join(benchDirectory(), 'rabbitmq-'))
  const place = (name: string): string => join(directory, name)
  await mkdir(place('home'))
  await writeFile(place('rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port}\nlog.console = true\nlog.file = false\n`)
  await writeFile(place('plugins'), '[].\n')
  await startPortMapper(mapperPort)

  const server = own(
    spawn(SCRIPT, ['-noinput', '-kernel', 'inet_dist_use_interface', '{127,0,0,1}'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        LANG: 'C.UTF-8',
        HOME: place('home'),
        ERL_EPMD_PORT: String(mapperPort),
        ERL_EPMD_ADDRESS: '127.0.0.1',
        // Without this the script stays in front of the server, and its pid would not be the server's.
        RABBITMQ_ALLOW_INPUT: '1',
        RABBITMQ_NODENAME: `bench-${port}@localhost`,
        RABBITMQ_DIST_PORT: String(nodePort),
        RABBITMQ_CONF_ENV_FILE: place('none'),
        RABBITMQ_CONFIG_FILE: place('rabbitmq.conf'),
        RABBITMQ_ENABLED_PLUGINS_FILE: place('plugins'),
        RABBITMQ_MNESIA_BASE: place('data'),
        RABBITMQ_LOG_BASE: place('log'),
        RABBITMQ_PID_FILE: place('pid'),
      },
    }),
  )
  let said = ''
  for (const stream of [server.stdout, server.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2_000)
    })
  }
  const deadlineMs = performance.now() + START_LIMIT_MS
  while (!said.includes('Server startup complete')) {
    if (server.exitCode !== null) throw new Error(`rabbitmq-server ended with ${server.exitCode}; it said: ${said}`)
    if (performance.now() > deadlineMs) throw new Error(`rabbitmq-server is not ready; it said: ${said}`)
    await delay(LOOK_EACH_MS)
  }
  return `amqp://127.0.0.1:${port}`
}
