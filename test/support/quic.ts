/**
 * The optional QUIC package, installed by `.ci/setup` into a folder of its own: no platform but a few has its native part,
 * so it can be no development dependency. From `useQuic()` on this process resolves it from there.
 */
import { existsSync } from 'node:fs'
import { registerHooks } from 'node:module'

const NAME = '@chainsafe/libp2p-quic'
const FOLDER = new URL('../quic/', import.meta.url)

/** Why it cannot be tested here; undefined where it can. */
export const noQuic = (): string | undefined =>
  existsSync(new URL(`node_modules/${NAME}/package.json`, FOLDER))
    ? undefined
    : `needs ${NAME} in test/quic/node_modules: run .ci/setup`

export const useQuic = (): void => {
  const parentURL = new URL('here.js', FOLDER).href
  registerHooks({
    resolve: (specifier, context, next) => next(specifier, specifier === NAME ? { ...context, parentURL } : context),
  })
}

const PRELOAD = new URL('quic-preload.ts', import.meta.url).href

/** The same for processes that are started from here on. */
export const useQuicInProcesses = (): void => {
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import ${PRELOAD}`
}
