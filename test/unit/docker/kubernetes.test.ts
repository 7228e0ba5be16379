import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Deployment, StatefulSet } from 'kubernetes-types/apps/v1.js'
import type { Service } from 'kubernetes-types/core/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import { parse, parseAllDocuments } from 'yaml'
import { type Manifest, typeErrors } from './kubernetes-types.ts'

const FOLDER = new URL('../../../docker/kubernetes/', import.meta.url)

const read = async (name: string): Promise<Manifest[]> =>
  parseAllDocuments(await readFile(new URL(name, FOLDER), 'utf8')).map((document) => {
    assert.deepEqual(document.errors, [], name)
    return document.toJS() as Manifest
  })

const files = (await readdir(FOLDER)).filter((name) => name !== 'kustomization.yaml')
const manifests = (await Promise.all(files.map(read))).flat()

/** Validated by the first test. */
const ofKind = <T>(kind: string): T[] => manifests.filter((manifest) => manifest.kind === kind) as T[]
const workloads = [...ofKind<StatefulSet>('StatefulSet'), ...ofKind<Deployment>('Deployment')]

const podOf = (workload: StatefulSet | Deployment) => {
  const pod = workload.spec?.template.spec
  const [container, ...others] = pod?.containers ?? []
  assert.ok(pod !== undefined && container !== undefined)
  assert.equal(others.length, 0)
  return { pod, container }
}

const selects = (selector: Record<string, string> | undefined, labels: Record<string, string> = {}): boolean =>
  selector !== undefined && Object.entries(selector).every(([name, value]) => labels[name] === value)

test('the manifests are what the API of Kubernetes takes', async () => {
  assert.equal(await typeErrors(manifests), '')
})

test('the check refuses an unknown field, a wrong type and a missing field, however deep', async () => {
  const [seeds] = ofKind<Manifest>('StatefulSet')
  assert.ok(seeds !== undefined)
  const changes: [RegExp, RegExp, string][] = [
    [/livenessProbe/, /livenesProbe"?' does not exist/, 'livenesProbe'],
    [/"runAsNonRoot":true/, /'string' is not assignable to type 'boolean/, '"runAsNonRoot":"yes"'],
    [/"serviceName":"parley-seed",/, /'serviceName' is missing/, ''],
  ]
  for (const [what, expected, instead] of changes) {
    const changed = JSON.stringify(seeds).replace(what, instead)
    assert.match(await typeErrors([JSON.parse(changed)]), expected)
  }
})

test('kustomization.yaml brings every file but the example of the secret', async () => {
  const { resources } = parse(await readFile(new URL('kustomization.yaml', FOLDER), 'utf8'))
  assert.deepEqual([...resources].sort(), files.filter((name) => name !== 'secret.example.yaml').sort())
})

test('every pod fits the restricted profile of pod security', () => {
  assert.equal(workloads.length, 2)
  for (const workload of workloads) {
    const { pod, container } = podOf(workload)
    assert.equal(pod.securityContext?.runAsNonRoot, true)
    assert.equal(pod.securityContext?.runAsUser, 10001)
    assert.equal(pod.securityContext?.seccompProfile?.type, 'RuntimeDefault')
    assert.equal(container.securityContext?.allowPrivilegeEscalation, false)
    assert.equal(container.securityContext?.readOnlyRootFilesystem, true)
    assert.deepEqual(container.securityContext?.capabilities?.drop, ['ALL'])
    assert.equal(pod.automountServiceAccountToken, false)
    assert.equal(pod.enableServiceLinks, false)
    assert.ok(container.resources?.limits?.memory)
  }
})

test('every pod is probed, has time to stop, and joins by the headless service', () => {
  for (const workload of workloads) {
    const { pod, container } = podOf(workload)
    assert.ok(container.startupProbe?.exec && container.livenessProbe?.exec)
    assert.deepEqual(container.readinessProbe?.exec?.command?.slice(1), ['/app/ask.mjs', '/readyz'])
    assert.ok((pod.terminationGracePeriodSeconds ?? 0) > 5)
    const join = container.args?.[container.args.indexOf('--join') + 1]
    const headless = ofKind<Service>('Service').find(({ spec }) => spec?.clusterIP === 'None')
    assert.equal(join, `/dns4/${headless?.metadata?.name}/tcp/${headless?.spec?.ports?.[0]?.port}`)
    assert.equal(headless?.spec?.publishNotReadyAddresses, true)
  }
})

test('services, budgets and the network policy select the pods that they are for', () => {
  const budgets = ofKind<PodDisruptionBudget>('PodDisruptionBudget')
  for (const workload of workloads) {
    const labels = workload.spec?.template.metadata?.labels
    assert.ok(selects(workload.spec?.selector.matchLabels, labels))
    assert.equal(budgets.filter(({ spec }) => selects(spec?.selector?.matchLabels, labels)).length, 1)
    assert.equal(labels?.['parley-member'], 'true')
  }
  const [seeds, agents] = workloads.map(({ spec }) => spec?.template.metadata?.labels)
  const reach = ofKind<Service>('Service').map(({ metadata, spec }) => [
    metadata?.name,
    selects(spec?.selector, seeds),
    selects(spec?.selector, agents),
  ])
  assert.deepEqual(reach.sort(), [
    ['parley', true, true],
    ['parley-seed', true, false],
  ])
})

test('what the manifests name is there: volumes, ports and the key of the secret', () => {
  const [secret] = manifests.filter(({ kind }) => kind === 'Secret')
  for (const workload of workloads) {
    const { pod, container } = podOf(workload)
    const claims =
      'volumeClaimTemplates' in (workload.spec ?? {}) ? (workload as StatefulSet).spec?.volumeClaimTemplates : []
    const volumes = [
      ...(pod.volumes ?? []).map(({ name }) => name),
      ...(claims ?? []).map(({ metadata }) => metadata?.name),
    ]
    assert.deepEqual(
      container.volumeMounts?.map(({ name }) => name),
      volumes,
    )
    const ports = container.ports?.map(({ name }) => name)
    for (const { spec } of ofKind<Service>('Service'))
      assert.deepEqual(
        spec?.ports?.map((port) => port.targetPort),
        ports,
      )
    const reference = container.env?.find(({ name }) => name === 'PARLEY_SECRET')?.valueFrom?.secretKeyRef
    assert.equal(reference?.name, secret?.metadata.name)
    assert.deepEqual(Object.keys(secret?.stringData ?? {}), [reference?.key])
  }
})
