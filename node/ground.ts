/**
 * What a node stands on before it opens a socket: checked options, the log, the data directory's lock, identity, trust (on
 * its way), metrics, and what all links have in common. Keeps no state of its own.
 */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Log } from '../protocols/port.ts'
import { linkCounts } from '../protocols/wire/link.ts'
import { type DirectoryLock, lockDataDirectory } from './data-directory.ts'
import { loadIdentity, nextIncarnation } from './identity.ts'
import { createTrust } from './membership.ts'
import { createMetrics, PREFIX } from './metrics.ts'
import { openKeptPorts } from './network/kept-ports.ts'
import { type MeshOptionsInput, parseOptions } from './options.ts'
import { clock, compressionOf, random, timers } from './platform.ts'
import { deriveAuthority, SECRET_ADVICE, secretWarning } from './secret.ts'
import { createSigner } from './signer.ts'
import { openKnownStores, warnOfOther } from './store/known-stores.ts'
import { createReserve, type Reserve } from './store/reserve.ts'
import { youngBuffers } from './transport/young-buffers.ts'

export const prepare = async (input: MeshOptionsInput, lock: { current: DirectoryLock | undefined }) => {
  const options = parseOptions(input)
  const { limits } = options
  if (options.minorGc) youngBuffers.enable()
  // Takes a tenth of a second in another thread; who asks for the same later gets this one.
  for (const secret of options.secret ?? []) deriveAuthority(secret, options.mesh).catch(() => {})
  // A program that brings its own log does not load this one.
  const ownLog =
    typeof options.log === 'string'
      ? (await import('./log.ts')).createLog({ level: options.log, fields: { source: options.name } })
      : undefined
  const log: Log = ownLog ?? (options.log as Log)
  const { dataDir } = options
  const reserve = dataDir === undefined ? undefined : createReserve(dataDir, log)
  const within: Reserve['within'] = reserve?.within ?? ((run) => run())
  if (dataDir !== undefined) lock.current = await within(() => lockDataDirectory(dataDir, { log }))
  const privateKey = await within(() => loadIdentity(dataDir, log))
  const next = (inPlace: boolean) => nextIncarnation(dataDir, clock.now(), log, inPlace)
  const incarnation = await within(() => next(false)).catch(() => next(true))
  const usesJournal = options.coordination.voter === 'auto'
  const known =
    dataDir === undefined
      ? undefined
      : await within(() => openKnownStores({ dataDir, usesJournal, log, now: clock.now }))
  await reserve?.keep()
  const selfId = peerIdFromPrivateKey(privateKey).toString()
  warnOfOther(selfId, known, log)
  const ports = await openKeptPorts(dataDir, options, log)
  const trusting = createTrust({ mesh: options.mesh, self: selfId, secrets: options.secret ?? [], clock })
  trusting.catch(() => {})
  const startedAt = clock.now()
  const identity = { id: selfId, name: options.name, mesh: options.mesh, incarnation }
  if (options.secret === undefined) {
    log.warn('no secret: this mesh is open to every process of this machine, and to nobody else', {
      hint: 'make a secret with `parley secret`',
    })
  }
  const warning = secretWarning(options.secret ?? [])
  if (warning !== undefined && !options.allowWeakSecret) log.warn(warning, { hint: SECRET_ADVICE })

  const metrics = createMetrics(PREFIX)
  const signer = createSigner(privateKey)
  const counts = linkCounts()
  const linkDeps = {
    clock,
    timers,
    log,
    compression: compressionOf(options.compression.encodings),
    defer: queueMicrotask,
    random,
    counts,
    limits: {
      ...limits,
      maxCallMs: options.timings.maxCallMs,
      maxStreamMs: options.timings.maxStreamMs,
      streamIdleMs: options.timings.streamIdleMs,
      compressMinBytes: options.compression.encodings.length === 0 ? 0 : options.compression.minBytes,
    },
  }
  return {
    ...{ options, known, ports, log, ownLog, privateKey, identity, trusting },
    ...{ startedAt, metrics, signer, counts, linkDeps },
  }
}

export type Ground = Awaited<ReturnType<typeof prepare>>
