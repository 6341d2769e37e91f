// Sends the files of a form[data-upload-folder] a few at a time, each with its path in
// the folder, and goes on to the preview. Without this script the form sends them at
// once. What fails is listed and can be sent again; the server replaces what it has.
import { filesUnder, inParts, pathOf, post } from "./upload-folder-parts.js";

const ATTEMPTS = 3;

class Upload {
  constructor(form) {
    this.form = form;
    this.chosen = [];
    const find = (name) => form.querySelector(`[data-${name}]`);
    this.parts = Object.fromEntries(
      ["upload", "upload-state", "upload-rate", "upload-bar", "upload-failed", "upload-retry", "upload-skip", "chosen"]
        .map((name) => [name, find(name)]),
    );
    for (const label of form.querySelectorAll("[data-folder-label]")) label.hidden = false;
    const inputs = form.querySelectorAll("[data-folder-input], input[type=file][name=photos]");
    for (const input of inputs) input.addEventListener("change", () => this.choose([...input.files]));
    const zone = find("dropzone");
    zone?.classList.add("dropzone-ready");
    zone?.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("dropzone-over"); });
    zone?.addEventListener("dragleave", () => zone.classList.remove("dropzone-over"));
    zone?.addEventListener("drop", (event) => this.drop(event, zone));
    form.addEventListener("submit", (event) => this.submit(event));
    this.parts["upload-retry"].addEventListener("click", () => this.send(this.failed.map(([file]) => file)));
    this.parts["upload-skip"].addEventListener("click", () => this.preview());
  }

  async drop(event, zone) {
    event.preventDefault();
    zone.classList.remove("dropzone-over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    this.choose(entries.length ? (await Promise.all(entries.map((entry) => filesUnder(entry)))).flat() : files);
  }

  choose(files) {
    this.chosen = files;
    const megabytes = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
    this.parts.chosen.textContent = `${files.length} files chosen, ${megabytes.toFixed(1)} MB`;
  }

  token() {
    return this.form.querySelector("[name=csrfmiddlewaretoken]").value;
  }

  source() {
    return this.form.querySelector("[name=source]:checked")?.value ?? "folder";
  }

  async submit(event) {
    const zip = this.form.querySelector("[name=zip_file]")?.files?.[0];
    const files = this.source() === "zip" ? [zip].filter(Boolean) : this.chosen;
    // Nothing to send bit by bit: the form goes as it is, and the server says what lacks.
    if (this.source() === "server" || !files.length) return;
    event.preventDefault();
    event.submitter?.setAttribute("disabled", "");
    this.batch = this.form.dataset.batch;
    try {
      this.batch ??= await this.open();
    } catch {
      this.form.submit();
      return;
    }
    this.parts.upload.hidden = false;
    this.n = { files: files.length, bytes: files.reduce((sum, file) => sum + file.size, 0) };
    await this.send(files);
  }

  // Opens the import without its photographs and returns its address.
  async open() {
    const said = new FormData(this.form);
    for (const name of ["photos", "zip_file"]) said.delete(name);
    said.set("is_collecting", "on");
    const answer = await fetch(this.form.action, { method: "POST", body: said });
    if (!answer.ok || !answer.redirected) throw new Error("not opened");
    return answer.url;
  }

  async send(files) {
    const parts = inParts(files);
    this.failed = [];
    this.sent = this.n.bytes - files.reduce((sum, file) => sum + file.size, 0);
    this.began = { at: performance.now(), sent: this.sent };
    this.parts["upload-retry"].hidden = this.parts["upload-skip"].hidden = true;
    const work = async () => {
      for (let part = parts.shift(); part; part = parts.shift()) await this.sendPart(part);
    };
    await Promise.all([work(), work()]);
    this.list();
    if (!this.failed.length) await this.preview();
  }

  async sendPart(files, attempt = 1) {
    const body = new FormData();
    for (const file of files) {
      body.append(this.source() === "zip" ? "zip_file" : "photos", file);
      body.append("paths", pathOf(file));
    }
    try {
      const answer = await post(`${this.batch}files/`, body, this.token(), (bytes) => { this.sent += bytes; this.show(); });
      for (const file of files) if (answer.refused?.[pathOf(file)]) this.failed.push([file, answer.refused[pathOf(file)]]);
    } catch (error) {
      if (attempt < ATTEMPTS && !error.isFinal) {
        await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
        return this.sendPart(files, attempt + 1);
      }
      for (const file of files) this.failed.push([file, error.message]);
    }
    return undefined;
  }

  show() {
    const rate = (this.sent - this.began.sent) / Math.max(performance.now() - this.began.at, 1) / 1e3;
    this.parts["upload-bar"].value = Math.min(100, (100 * this.sent) / Math.max(this.n.bytes, 1));
    this.parts["upload-rate"].textContent =
      `${(Math.min(this.sent, this.n.bytes) / 1e6).toFixed(1)} of ${(this.n.bytes / 1e6).toFixed(1)} MB, ${rate.toFixed(1)} MB/s`;
  }

  list() {
    const failed = this.failed.map(([file, why]) => Object.assign(document.createElement("li"), { textContent: `${pathOf(file)}: ${why}` }));
    this.parts["upload-failed"].replaceChildren(...failed);
    this.parts["upload-state"].textContent = failed.length ? `${failed.length} of ${this.n.files} files did not arrive` : "Everything has arrived; reading the labels";
    this.parts["upload-retry"].hidden = this.parts["upload-skip"].hidden = !failed.length;
  }

  async preview() {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", this.token());
    await fetch(`${this.batch}preview/`, { method: "POST", body });
    window.location.assign(this.batch);
  }
}

function enhance(root) {
  for (const form of root.querySelectorAll("form[data-upload-folder]")) {
    if (!form.upload) form.upload = new Upload(form);
  }
}

enhance(document);
document.addEventListener("htmx:load", (event) => enhance(event.target));
