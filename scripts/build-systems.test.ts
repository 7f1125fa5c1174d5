import { expect, test } from 'vitest';
import { parseXml, systemsTable } from './build-systems.mjs';

const os = (id: string, body: string) => `<os id="http://example.org/${id}"><short-id>${id}</short-id>${body}</os>`;
const table = (...systems: string[]) => systemsTable(systems.map((system) => parseXml(`<libosinfo version="0.0.1">${system}</libosinfo>`)));

test('a system has its untranslated name, its patterns and its needs', () => {
  const [system] = table(
    os(
      'thing1',
      `<name>Thing 1</name><name xml:lang="de">Ding 1</name><family>linux</family><distro>thing</distro><version>1</version>
       <resources arch="all"><minimum><ram>1048576</ram><n-cpus>1</n-cpus></minimum><recommended><ram>2097152</ram><storage>5</storage></recommended></resources>
       <media arch="x86_64" live="true"><iso><volume-id>Thing-1-\\d</volume-id><volume-size>77</volume-size></iso></media>
       <media arch="aarch64"><iso><volume-id>Thing-1-arm</volume-id></iso></media>`,
    ),
  );
  expect(system).toMatchObject({
    id: 'thing1',
    name: 'Thing 1',
    minimum: { memoryBytes: 1048576, cpus: 1 },
    recommended: { memoryBytes: 2097152, diskBytes: 5 },
    media: [{ arch: 'x86_64', live: true, volumeId: 'Thing-1-\\d', volumeSize: '77' }],
    virtio: false,
  });
});

test('needs and drivers are inherited, and nobody recommends less than is needed', () => {
  const systems = table(
    os(
      'a',
      '<name>A</name><devices><device id="http://pcisig.com/pci/1af4/1042"/></devices><resources arch="all"><recommended><ram>10</ram></recommended></resources>',
    ),
    os('b', '<name>B</name><derives-from id="http://example.org/a"/><resources arch="x86_64"><minimum><ram>20</ram></minimum></resources>'),
  );
  expect(systems.find(({ id }) => id === 'b')).toMatchObject({
    virtio: true,
    minimum: { memoryBytes: 20 },
    recommended: { memoryBytes: 20 },
  });
});

test('systems that derive from each other in a circle end', () => {
  const circle = (id: string, of: string) => os(id, `<name>${id}</name><derives-from id="http://example.org/${of}"/>`);
  expect(table(circle('a', 'b'), circle('b', 'a')).map(({ id }) => id)).toEqual(['a', 'b']);
});

test('additions in files of their own count, and what runs on other processors only is left out', () => {
  const systems = table(
    '<os id="http://example.org/w"><short-id>w</short-id><devices><device id="http://pcisig.com/pci/1af4/1042"/></devices></os>',
    os('w', '<name>W</name><firmware arch="x86_64" type="efi"/><firmware arch="x86_64" type="bios" supported="false"/>'),
    os('arm', '<name>ARM</name><media arch="aarch64"><iso><volume-id>arm</volume-id></iso></media>'),
  );
  expect(systems).toHaveLength(1);
  expect(systems[0]).toMatchObject({ id: 'w', name: 'W', virtio: true, uefiOnly: true });
});

test('newest first', () => {
  const systems = table(os('old', '<release-date>1999-01-01</release-date>'), os('new', '<release-date>2020-01-01</release-date>'));
  expect(systems.map(({ id }) => id)).toEqual(['new', 'old']);
});
