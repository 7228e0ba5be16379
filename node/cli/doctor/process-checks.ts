/** What `parley doctor` says of Node, and of what the system lets a process have. */
import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import { getHeapStatistics } from 'node:v8'
import { isQuic } from '../../network/transports/quic.ts'
import { type DoctorCheck, fail, messageOf, ok, skipped, warn } from './check-finding.ts'

const MIB = 1024 * 1024
/** Releases that are looked after for long, and that this is tested with. */
const TESTED = [22, 24]
/** Files of a node beside its connections: stores, libuv, standard streams. */
const OWN_FILES = 128
/** Below it not even the store and a few peers find room. */
const LEAST_FILES = 64
/** What a process needs beside its JavaScript heap: code, buffers of sockets. */
const BESIDE_HEAP_BYTES = 96 * MIB

const inMib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`

const node: DoctorCheck = {
  name: 'node',
  run() {
    const { node: version } = process.versions
    const major = Number(version.split('.')[0])
    const seen = `Node ${version} at ${process.execPath}`
    if (TESTED.includes(major)) return [ok('node', seen)]
    return [warn('node', `${seen}, which this is not tested with`, `use Node ${TESTED.join(' or ')}`)]
  },
}

const QUIC: string = '@chainsafe/libp2p-quic'

/** Only where an address needs it: most nodes do without. */
const quic: DoctorCheck = {
  name: 'QUIC',
  async run({ options, join }) {
    const wanted = [...options.listen, ...join].find(isQuic)
    if (wanted === undefined) return []
    try {
      await import(QUIC)
      return [ok('QUIC', `${QUIC} is loaded`)]
    } catch (error) {
      const [first = ''] = messageOf(error).split('\n', 1)
      return [fail('QUIC', `${wanted} needs ${QUIC}: ${first}`, `npm install ${QUIC}, or use /tcp addresses`)]
    }
  },
}

/** @returns undefined where the system does not tell, Infinity where there is no limit */
const softLimit = async (): Promise<number | undefined> => {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1]
  if (soft === undefined) return undefined
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}

const files: DoctorCheck = {
  name: 'open files',
  async run({ options }) {
    const limit = await softLimit()
    if (limit === undefined) return [skipped('open files', 'this system does not tell its limit')]
    const wanted = options.limits.maxConnections + OWN_FILES
    const seen = `at most ${limit}; a node with ${options.limits.maxConnections} connections takes up to ${wanted}`
    if (limit >= wanted) return [ok('open files', seen)]
    const todo = `raise it before the start (ulimit -n ${wanted}, or LimitNOFILE= of systemd), or lower limits.max_connections`
    return [limit < LEAST_FILES ? fail('open files', seen, todo) : warn('open files', seen, todo)]
  },
}

const memory: DoctorCheck = {
  name: 'memory',
  run() {
    const physical = totalmem()
    const constrained = constrainedMemory()
    // Without a limit the system tells 0, or a number that no machine has.
    const isLimited = constrained > 0 && constrained < physical
    const most = isLimited ? constrained : physical
    const heap = getHeapStatistics().heap_size_limit
    const place = isLimited ? 'this container has' : 'this machine has'
    const seen = `the heap may grow to ${inMib(heap)}; ${place} ${inMib(most)}`
    if (heap + BESIDE_HEAP_BYTES <= most) return [ok('memory', seen)]
    const fitting = Math.max(32, Math.floor((most - BESIDE_HEAP_BYTES) / MIB))
    const todo = `the system would end the process before Node collects garbage: set NODE_OPTIONS=--max-old-space-size=${fitting}, or give it more memory`
    return [warn('memory', seen, todo)]
  },
}

export const PROCESS_CHECKS: readonly DoctorCheck[] = [node, quic, files, memory]
