import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Deployment, StatefulSet } from 'kubernetes-types/apps/v1.js'
import type { Service } from 'kubernetes-types/core/v1.js'
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import { parse, parseAllDocuments } from 'yaml'
import { isMountedForGroup } from '../../../node/trust/secret.ts'
import { type Manifest, typeErrors } from './kubernetes-types.ts'

const FOLDER = new URL('../../../docker/kubernetes/', import.meta.url)
/** Of the image. */
const HEALTH_PORT = 8091

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

/** `64Mi` to bytes. */
const bytesOf = (text: unknown): number => {
  const [, count = '', unit = ''] = /^(\d+)(Mi|Gi)$/.exec(String(text)) ?? []
  return Number(count) * (unit === 'Gi' ? 2 ** 30 : 2 ** 20)
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
    const { startupProbe, livenessProbe, readinessProbe } = container
    for (const probe of [startupProbe, livenessProbe])
      assert.deepEqual(probe?.httpGet, { path: '/healthz', port: 'health' }, 'no process for each probe')
    assert.deepEqual(readinessProbe?.httpGet, { path: '/readyz', port: 'health' })
    assert.equal(container.ports?.find(({ name }) => name === 'health')?.containerPort, HEALTH_PORT)
    assert.ok((pod.terminationGracePeriodSeconds ?? 0) > 5)
    const join = container.args?.[container.args.indexOf('--join') + 1]
    const headless = ofKind<Service>('Service').find(({ spec }) => spec?.clusterIP === 'None')
    assert.equal(join, `/dns4/${headless?.metadata?.name}/tcp/${headless?.spec?.ports?.[0]?.port}`)
    assert.equal(headless?.spec?.publishNotReadyAddresses, true)
  }
})

test('the quota of each node is at most a quarter of its volume, and what is in memory fits beside the node', () => {
  for (const workload of workloads) {
    const { pod, container } = podOf(workload)
    const claims = 'volumeClaimTemplates' in (workload.spec ?? {}) ? (workload as StatefulSet).spec : undefined
    const claimed = claims?.volumeClaimTemplates?.[0]?.spec?.resources?.requests?.storage
    const inMemory = pod.volumes?.find(({ name }) => name === 'data')?.emptyDir?.sizeLimit
    const quota = Number(container.env?.find(({ name }) => name === 'PARLEY_LIMITS__MAX_DISK_BYTES')?.value)
    assert.ok(quota >= 2 ** 24 && quota * 4 <= bytesOf(claimed ?? inMemory), `${quota} of ${claimed ?? inMemory}`)
    if (inMemory !== undefined) assert.ok(bytesOf(inMemory) * 4 <= bytesOf(container.resources?.limits?.memory))
  }
})

test('pods spread over zones and machines, and only seeds vote, each with a volume that stays', () => {
  for (const workload of workloads) {
    const { pod, container } = podOf(workload)
    const spread = pod.topologySpreadConstraints ?? []
    assert.deepEqual(
      spread.map(({ topologyKey }) => topologyKey),
      ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'],
    )
    const labels = workload.spec?.template.metadata?.labels
    for (const { labelSelector } of spread) assert.ok(selects(labelSelector?.matchLabels, labels))
    const voter = container.args?.[container.args.indexOf('--voter') + 1]
    assert.equal(voter, workload.kind === 'StatefulSet' ? 'auto' : 'never')
  }
  const [seeds] = ofKind<StatefulSet>('StatefulSet')
  assert.deepEqual(seeds?.spec?.persistentVolumeClaimRetentionPolicy, { whenDeleted: 'Retain', whenScaled: 'Retain' })
})

test('the network policy lets in members and scrapers, each at their port, and out to members and DNS', () => {
  const [policy] = ofKind<NetworkPolicy>('NetworkPolicy')
  const ports = (rules: readonly { ports?: { port?: unknown }[] }[] = []) =>
    rules.map((rule) => rule.ports?.map(({ port }) => port))
  assert.deepEqual(ports(policy?.spec?.ingress), [[4001], ['health']])
  assert.deepEqual(ports(policy?.spec?.egress), [[4001], [53, 53]])
  const dns = policy?.spec?.egress?.[1]?.to ?? []
  assert.deepEqual(
    dns.map(
      ({ namespaceSelector, ipBlock }) => ipBlock?.cidr ?? Object.values(namespaceSelector?.matchLabels ?? {})[0],
    ),
    ['kube-system', '169.254.20.10/32'],
  )
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
    assert.deepEqual(container.volumeMounts?.map(({ name }) => name).sort(), volumes.sort())
    const ports = container.ports?.map(({ name }) => name) ?? []
    for (const { spec } of ofKind<Service>('Service'))
      for (const { targetPort } of spec?.ports ?? []) assert.ok(ports.includes(String(targetPort)))
    // One way for the secret, here and in the texts: a file, which only root and the group of the pod can read.
    assert.ok(!container.env?.some(({ name }) => name === 'PARLEY_SECRET'))
    const mounted = pod.volumes?.find(({ name }) => name === 'secret')?.secret
    assert.equal(mounted?.secretName, secret?.metadata.name)
    assert.deepEqual(
      mounted?.items?.map(({ key }) => key),
      Object.keys(secret?.stringData ?? {}),
    )
    const mode = mounted?.defaultMode ?? 0
    assert.ok(
      isMountedForGroup({ uid: 0, mode }, pod.securityContext?.runAsUser ?? 0),
      'a node takes a file of this mode',
    )
    assert.equal(pod.securityContext?.fsGroup, pod.securityContext?.runAsGroup)
    const folder = container.volumeMounts?.find(({ name }) => name === 'secret')?.mountPath
    const path = container.env?.find(({ name }) => name === 'PARLEY_SECRET_FILE')?.value
    assert.equal(path, `${folder}/${mounted?.items?.[0]?.path}`)
  }
})
