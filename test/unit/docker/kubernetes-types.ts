/**
 * Checks Kubernetes manifests against the types of the API, by the compiler: each document becomes a typed literal, in
 * which an unknown field, a missing one or one of the wrong type is an error. Needs no cluster and no network.
 *
 * Source of the types: the package kubernetes-types, made from the OpenAPI definition of Kubernetes 1.30.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const COMPILER = join(ROOT, 'node_modules/typescript/bin/tsc')

export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  [field: string]: unknown
}

/** `networking.k8s.io/v1` is in networking/v1, `v1` in core/v1. */
const moduleOf = (apiVersion: string): string => {
  const [group = '', version] = apiVersion.split('/')
  const path = version === undefined ? `core/${group}` : `${group.split('.')[0]}/${version}`
  return join(ROOT, 'node_modules/kubernetes-types', path)
}

const literalOf = (manifest: Manifest, at: number): string =>
  [
    `import type { ${manifest.kind} as Kind${at} } from ${JSON.stringify(moduleOf(manifest.apiVersion))}`,
    `export const document${at}: Kind${at} = ${JSON.stringify(manifest, null, 2)}`,
  ].join('\n')

/** What the compiler says; empty where all manifests are as the API has them. */
export const typeErrors = async (manifests: readonly Manifest[]): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-manifests-'))
  try {
    const file = join(folder, 'manifests.ts')
    await writeFile(file, manifests.map(literalOf).join('\n'))
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--types',
      '',
    ]
    return await new Promise((resolve) => {
      execFile(process.execPath, [COMPILER, ...options, file], (error, stdout, stderr) =>
        resolve(error === null ? '' : stdout + stderr || error.message),
      )
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}
