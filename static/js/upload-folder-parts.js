// What upload-folder.js sends: the files of a dropped folder, in parts, one request each.
const FILES_A_SEND = 8;
const BYTES_A_SEND = 32e6;

export const pathOf = (file) => file.importPath || file.webkitRelativePath || file.name;

// Reads a dropped folder to its end; a reader hands out a hundred entries at a time.
export async function filesUnder(entry, prefix = "") {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    file.importPath = prefix + file.name;
    return [file];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    for (const child of entries) files.push(...(await filesUnder(child, `${prefix}${entry.name}/`)));
  }
}

export function inParts(files) {
  const parts = [];
  let size = 0;
  for (const file of files) {
    if (!parts.length || parts.at(-1).length >= FILES_A_SEND || size + file.size > BYTES_A_SEND) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1).push(file);
    size += file.size;
  }
  return parts;
}

// XMLHttpRequest, because fetch does not tell how much has been sent. `onSent` is told
// the bytes as they go, and the same number negative if they were lost.
export function post(url, body, token, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let before = 0;
    request.open("POST", url);
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", token);
    request.upload.onprogress = (event) => {
      onSent(event.loaded - before);
      before = event.loaded;
    };
    request.onerror = () => {
      onSent(-before);
      reject(new Error("The connection broke off."));
    };
    request.onload = () => {
      if (request.status === 200) return resolve(request.response);
      onSent(-before);
      const error = new Error(request.response?.error ?? `The server answered ${request.status}.`);
      return reject(Object.assign(error, { isFinal: request.status < 500 }));
    };
    request.send(body);
  });
}
