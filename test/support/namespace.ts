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
  /** What is sent to this address is dropped without a word, from now on. Needs nftables. */
  swallow(address: string): void
  /** Packets that were dropped so far. */
  swallowed(): number
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
    for (const address of [...addresses, `${nameServer}/${nameServer.includes(':') ? 128 : 32}`]) {
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
  const nft = (...args: string[]): string => {
    const [command = '', ...rest] = enter
    return execFileSync(command, [...rest, 'nft', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }
  const CHAIN = ['inet', 'parley', 'swallow'] as const
  return {
    name,
    enter,
    remove,
    async setNames(zone) {
      told.send(zone)
      await once(told, 'message')
    },
    swallow(address) {
      nft('add', 'table', 'inet', 'parley')
      nft('add', 'chain', ...CHAIN, '{ type filter hook input priority 0; policy accept; }')
      nft('add', 'rule', ...CHAIN, address.includes(':') ? 'ip6' : 'ip', 'daddr', address, 'counter', 'drop')
    },
    swallowed: () =>
      [...nft('list', 'chain', ...CHAIN).matchAll(/packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0),
  }
}

/** Why nothing can be swallowed here; undefined where it can. */
export const noSwallowing = (): string | undefined => {
  const why = noNamespace()
  if (why !== undefined) return why
  try {
    execFileSync('nft', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs nftables (the command nft)'
  }
}
