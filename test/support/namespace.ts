/**
 * A network namespace of the test's own, with addresses, a name server and processes inside it; nothing of it is seen
 * outside. Needs root and iproute2.
 *
 * State: the namespace, removed by remove(); its processes end with the test's.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Zone } from './name-server.ts'

const NAME_SERVER = fileURLToPath(new URL('./name-server.ts', import.meta.url))

/** Why there can be none here; undefined where there can. */
export const noNamespace = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root for a network namespace'
  try {
    execFileSync('ip', ['-V'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs iproute2 (the command ip)'
  }
}

export interface Namespace {
  readonly name: string
  /** Command and arguments that run a program inside. */
  readonly enter: readonly string[]
  /** Replaces what the name server knows. */
  setNames(zone: Zone): Promise<void>
  remove(): Promise<void>
}

/** @param addresses with their prefix length: `10.0.0.1/32` */
export const createNamespace = async (addresses: readonly string[], nameServer: string): Promise<Namespace> => {
  const name = `parley-${process.pid}`
  const folder = `/etc/netns/${name}`
  const enter = ['ip', 'netns', 'exec', name]
  const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let server: ChildProcess | undefined
  const remove = async (): Promise<void> => {
    if (server !== undefined && server.exitCode === null) {
      server.kill('SIGKILL')
      await once(server, 'exit')
    }
    ip('netns', 'delete', name)
    rmSync(folder, { recursive: true, force: true })
  }
  ip('netns', 'add', name)
  try {
    ip('-n', name, 'link', 'set', 'lo', 'up')
    for (const address of [...addresses, `${nameServer}/32`]) {
      ip('-n', name, 'addr', 'add', address, 'dev', 'lo', ...(address.includes(':') ? ['nodad'] : []))
    }
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}/resolv.conf`, `nameserver ${nameServer}\noptions timeout:1 attempts:1\n`)
    const [command = '', ...rest] = enter
    server = spawn(command, [...rest, process.execPath, NAME_SERVER, nameServer], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    await once(server, 'message')
  } catch (error) {
    await remove()
    throw error
  }
  const told = server
  return {
    name,
    enter,
    remove,
    async setNames(zone) {
      told.send(zone)
      await once(told, 'message')
    },
  }
}
