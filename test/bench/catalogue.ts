/** The systems that can be measured: what each needs, which versions it reports, and where its code is. */
import { spawnSync } from 'node:child_process'
import { NEWEST_NATS } from './newest-nats.ts'
import type { System } from './system.ts'
import { rabbitVersion } from './systems/rabbitmq-release.ts'

interface Program {
  readonly command: string
  /** How it is called in reports; as its command unless told. */
  readonly shown?: string
  /** How it tells its version: by an argument, or in another way; undefined when it cannot be run. */
  readonly version: string | (() => string | undefined)
  readonly hint: string
  /** Why this version of it is of no use; undefined when it is. */
  readonly refuse?: (version: string) => string | undefined
}

export interface Entry {
  readonly name: string
  /** What its bytes go through; for the reader of the table. */
  readonly note: string
  /** Packages whose versions are reported. */
  readonly packages: readonly string[]
  /** True where `packages` are installed in test/bench, false where they are the product's own. */
  readonly peer: boolean
  /** A program that must be installed on the machine, with the hint that is shown when it is not. */
  readonly program?: Program
  load(): Promise<{ system: System }>
}

/** The system under test: its failures are never tried again. */
export const SUBJECT = 'parley'

const natsServer = {
  command: 'nats-server',
  version: '--version',
  hint: 'install the system package nats-server',
} as const

const newestNatsServer = {
  command: NEWEST_NATS,
  shown: 'nats-server, newest',
  version: '--version',
  hint: 'it is built from its Go module: install Go',
} as const

const rabbitServer = {
  command: 'rabbitmq-server',
  version: rabbitVersion,
  hint: 'install the system package rabbitmq-server',
} as const

const entries: readonly Entry[] = [
  {
    name: SUBJECT,
    note: 'encrypted, both sides authenticated',
    packages: ['libp2p', '@chainsafe/libp2p-noise', '@libp2p/yamux', '@chainsafe/libp2p-gossipsub'],
    peer: false,
    load: () => import('./systems/parley.ts'),
  },
  {
    name: 'nats',
    note: 'plain, through a broker',
    packages: ['@nats-io/transport-node'],
    peer: true,
    program: natsServer,
    load: () => import('./systems/nats.ts'),
  },
  {
    name: 'nats-newest',
    note: 'plain, through a broker',
    packages: ['@nats-io/transport-node'],
    peer: true,
    program: newestNatsServer,
    load: () => import('./systems/nats-newest.ts'),
  },
  {
    name: 'moleculer',
    note: 'plain, direct',
    packages: ['moleculer'],
    peer: true,
    load: () => import('./systems/moleculer.ts'),
  },
  {
    name: 'rabbitmq',
    note: 'plain, through a broker, nothing durable',
    packages: ['amqplib'],
    peer: true,
    program: rabbitServer,
    load: () => import('./systems/rabbitmq.ts'),
  },
  {
    name: 'rabbitmq-quorum',
    note: 'plain, through a broker',
    packages: ['amqplib'],
    peer: true,
    program: rabbitServer,
    load: () => import('./systems/rabbitmq-quorum.ts'),
  },
  {
    name: 'rabbitmq-work-queue',
    note: 'plain, through a broker',
    packages: ['amqplib'],
    peer: true,
    program: rabbitServer,
    load: () => import('./systems/rabbitmq-work-queue.ts'),
  },
  {
    name: 'restate',
    note: 'plain, through a server',
    packages: ['@restatedev/restate-server', '@restatedev/restate-sdk'],
    peer: true,
    load: () => import('./systems/restate.ts'),
  },
  {
    name: 'nats-jetstream',
    note: 'plain, through a broker',
    packages: ['@nats-io/transport-node'],
    peer: true,
    program: natsServer,
    load: () => import('./systems/nats-jetstream.ts'),
  },
  {
    name: 'nats-jetstream-synced',
    note: 'plain, through a broker',
    packages: ['@nats-io/transport-node'],
    peer: true,
    program: newestNatsServer,
    load: () => import('./systems/nats-jetstream-synced.ts'),
  },
  {
    name: 'libp2p-stream-per-request',
    note: 'encrypted, direct',
    packages: ['libp2p', '@chainsafe/libp2p-noise', '@libp2p/yamux'],
    peer: false,
    load: () => import('./systems/libp2p-stream-per-request.ts'),
  },
  {
    name: 'libp2p-stream',
    note: 'encrypted, direct, the ceiling of a bulk stream',
    packages: ['libp2p', '@chainsafe/libp2p-noise', '@libp2p/yamux'],
    peer: false,
    load: () => import('./systems/libp2p-stream.ts'),
  },
  {
    name: 'libp2p-node',
    note: 'encrypted, the modules of parley and nothing above them',
    packages: ['libp2p', '@chainsafe/libp2p-noise', '@libp2p/yamux', '@chainsafe/libp2p-gossipsub'],
    peer: false,
    load: () => import('./systems/libp2p-node.ts'),
  },
  {
    name: 'libp2p-gossipsub',
    note: 'encrypted, each event signed',
    packages: ['libp2p', '@chainsafe/libp2p-noise', '@libp2p/yamux', '@chainsafe/libp2p-gossipsub'],
    peer: false,
    load: () => import('./systems/libp2p-gossipsub.ts'),
  },
  {
    name: 'synced-store',
    note: 'one process and its disk, no network, the limit of a journal',
    packages: [],
    peer: false,
    load: () => import('./systems/synced-store.ts'),
  },
  {
    name: 'leveldb',
    note: 'in the process, in threads',
    packages: ['classic-level'],
    peer: false,
    load: () => import('./systems/leveldb.ts'),
  },
  {
    name: 'sqlite',
    note: 'in the process, on the thread that asks',
    packages: [],
    peer: false,
    load: () => import('./systems/sqlite.ts'),
  },
  {
    name: 'lmdb',
    note: 'in the process, in threads',
    packages: ['lmdb'],
    peer: true,
    load: () => import('./systems/lmdb.ts'),
  },
  {
    name: 'raw-tcp',
    note: 'plain, the limit',
    packages: [],
    peer: false,
    load: () => import('./systems/raw-tcp.ts'),
  },
]

export const catalogue: ReadonlyMap<string, Entry> = new Map(entries.map((entry) => [entry.name, entry]))

/** Debian keeps servers where an ordinary user's PATH does not look. */
export const programEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`,
})

/** The program's own words about its version, or undefined when it cannot be run. */
export const programVersion = ({ command, version }: Program): string | undefined => {
  if (typeof version === 'function') return version()
  const run = spawnSync(command, [version], {
    encoding: 'utf8',
    timeout: 5_000,
    env: programEnvironment(),
  })
  return run.status === 0 ? run.stdout.trim() || run.stderr.trim() : undefined
}

/**
 * Why a system cannot be measured here, or undefined when it can.
 * @param peersMissing why the peers' packages are not installed; undefined when they are
 */
export const obstacle = (entry: Entry, peersMissing: string | undefined): string | undefined => {
  if (entry.peer && peersMissing !== undefined) return peersMissing
  if (entry.program === undefined) return undefined
  const version = programVersion(entry.program)
  if (version === undefined)
    return `the program ${entry.program.shown ?? entry.program.command} cannot be run; ${entry.program.hint}`
  const why = entry.program.refuse?.(version)
  return why === undefined ? undefined : `${why}, here is ${version}`
}
